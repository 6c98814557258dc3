// SPDX-License-Identifier: Apache-2.0
#include "import/einsum.h"

#include <algorithm>

#include "core/text.h"
#include "ops/matmul.h"

namespace tutti {
namespace {

// Letters of the axes of a value; axes under an ellipsis are '0', '1', ... from the right.
struct Labeled {
  ValueId value = kNone;
  std::string labels;
};

bool has(std::string_view labels, char label) { return labels.find(label) != labels.npos; }

std::string without_spaces(std::string_view text) {
  std::string out;
  for (char c : text)
    if (c != ' ') out += c;
  return out;
}

// The letters with their ellipsis written out for `hidden` axes.
std::string spread(std::string_view term, size_t hidden) {
  const size_t dots = term.find("...");
  if (dots == term.npos) return std::string(term);
  std::string out(term.substr(0, dots));
  for (size_t i = hidden; i-- > 0;) out += static_cast<char>('0' + i);
  return out + std::string(term.substr(dots + 3));
}

// A letter that stands twice names a diagonal: every (n + 1)th element of both axes as one.
void take_diagonals(Emitter& e, Labeled& x) {
  for (size_t i = 0; i < x.labels.size(); ++i) {
    const char letter = x.labels[i];
    const size_t again = x.labels.find(letter, i + 1);
    if (again == x.labels.npos) continue;
    std::vector<int64_t> order;
    std::string labels;
    Shape shape;
    for (size_t k = 0; k < x.labels.size(); ++k) {
      if (k == i || k == again) continue;
      order.push_back(static_cast<int64_t>(k));
      labels += x.labels[k];
      shape.push_back(e.extent(x.value, static_cast<int64_t>(k)));
    }
    const auto axis = static_cast<int64_t>(order.size());
    order.insert(order.end(), {static_cast<int64_t>(i), static_cast<int64_t>(again)});
    const int64_t n = e.extent(x.value, order.back()).value();
    require_argument(e.extent(x.value, static_cast<int64_t>(i)) == Dim(n),
                     "einsum: the diagonal of ", e.type(x.value), " along ", letter);
    shape.push_back(n * n);
    x = {e.slice(e.reshape(e.permute(x.value, order), shape), axis, 0, n, n + 1), labels + letter};
    i = static_cast<size_t>(-1);
  }
}

Labeled label(Emitter& e, std::string_view term, ValueId value) {
  const auto rank = static_cast<size_t>(e.rank(value));
  const bool has_dots = term.find("...") != term.npos;
  const size_t letters = term.size() - (has_dots ? 3 : 0);
  require_argument(has_dots ? letters <= rank : letters == rank, "einsum: term '", term,
                   "' for an operand of ", rank, " axes");
  Labeled operand{value, spread(term, rank - letters)};
  take_diagonals(e, operand);
  return operand;
}

// Adds up the axes whose letters nobody needs any more.
void sum_away(Emitter& e, Labeled& x, std::string_view needed) {
  std::vector<int64_t> axes;
  std::string kept;
  for (size_t i = 0; i < x.labels.size(); ++i) {
    if (has(needed, x.labels[i]))
      kept += x.labels[i];
    else
      axes.push_back(static_cast<int64_t>(i));
  }
  x.value = e.reduce("sum", x.value, axes, false);
  x.labels = kept;
}

ValueId in_order(Emitter& e, const Labeled& x, std::string_view labels) {
  std::vector<int64_t> axes;
  for (char c : labels) axes.push_back(static_cast<int64_t>(x.labels.find(c)));
  return e.permute(x.value, axes);
}

const Dim& extent(const Emitter& e, const Labeled& x, char c) {
  return e.extent(x.value, static_cast<int64_t>(x.labels.find(c)));
}

Dim extent_of(const Emitter& e, const Labeled& x, std::string_view labels) {
  Dim product = 1;
  for (char c : labels) product = product * extent(e, x, c);
  return product;
}

// x as [batch..., rows, columns]: several letters in one place become one axis.
ValueId as_matrices(Emitter& e, const Labeled& x, const std::string& batch, const std::string& rows,
                    const std::string& columns) {
  Shape shape;
  for (char c : batch) shape.push_back(extent(e, x, c));
  shape.push_back(extent_of(e, x, rows));
  shape.push_back(extent_of(e, x, columns));
  return e.reshape(in_order(e, x, batch + rows + columns), shape);
}

Labeled multiply(Emitter& e, const Labeled& x, const Labeled& y, std::string_view needed) {
  std::string batch, left, right, summed;
  for (char c : x.labels) {
    if (!has(y.labels, c))
      left += c;
    else
      (has(needed, c) ? batch : summed) += c;
  }
  for (char c : y.labels)
    if (!has(x.labels, c)) right += c;
  // An axis of extent 1 meets one of another extent in a batch only; there products broadcast.
  Labeled product{e.op(Matmul{}, {as_matrices(e, x, batch, left, summed),
                                  as_matrices(e, y, batch, summed, right)}),
                  batch + left + right};
  Shape shape;
  for (size_t i = 0; i < batch.size(); ++i)
    shape.push_back(e.extent(product.value, static_cast<int64_t>(i)));
  for (char c : left) shape.push_back(extent(e, x, c));
  for (char c : right) shape.push_back(extent(e, y, c));
  product.value = e.reshape(product.value, shape);
  return product;
}

// Without an arrow: the ellipsis, then the letters that occur once in alphabetical order.
std::string implicit_output(std::string_view terms) {
  std::string letters;
  for (char c : terms)
    if (std::isalpha(static_cast<unsigned char>(c)) &&
        std::count(terms.begin(), terms.end(), c) == 1)
      letters += c;
  std::sort(letters.begin(), letters.end());
  return (terms.find("...") != terms.npos ? "..." : "") + letters;
}

}  // namespace

ValueId einsum(Emitter& e, std::string_view equation, std::vector<ValueId> operands) {
  const std::string text = without_spaces(equation);
  const size_t arrow = text.find("->");
  const std::string terms = text.substr(0, arrow);
  const std::string result = arrow == text.npos ? implicit_output(terms) : text.substr(arrow + 2);
  const std::vector<std::string> list = split_text(terms, ',');
  require_argument(list.size() == operands.size() && !operands.empty(), "einsum '", equation,
                   "' of ", operands.size(), " operands");
  std::vector<Labeled> factors;
  size_t hidden = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    factors.push_back(label(e, list[i], operands[i]));
    const auto& labels = factors.back().labels;
    hidden = std::max<size_t>(
        hidden, static_cast<size_t>(std::count_if(labels.begin(), labels.end(), [](char c) {
          return std::isdigit(static_cast<unsigned char>(c));
        })));
  }
  const std::string output = spread(result, hidden);
  Labeled product = factors[0];
  for (size_t i = 0; i < factors.size(); ++i) {
    std::string needed = output;
    for (size_t k = i + 1; k < factors.size(); ++k) needed += factors[k].labels;
    if (i > 0) {
      sum_away(e, factors[i], needed + product.labels);
      sum_away(e, product, needed + factors[i].labels);
      product = multiply(e, product, factors[i], needed);
    }
    sum_away(e, product, needed);
  }
  for (char c : output)
    require_argument(has(product.labels, c), "einsum '", equation, "': no operand has ", c);
  return in_order(e, product, output);
}

}  // namespace tutti
