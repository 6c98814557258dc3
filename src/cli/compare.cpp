// SPDX-License-Identifier: Apache-2.0
#include "cli/compare.h"

#include <algorithm>
#include <cmath>

#include "cli/terminal.h"

namespace tutti::cli {
namespace {

template <class T>
size_t count_unequal(const Tensor& a, const Tensor& b) {
  size_t count = 0;
  for (int64_t i = 0; i < a.elements(); ++i) count += a.as<T>()[i] != b.as<T>()[i];
  return count;
}

void compare_exactly(const Tensor& found, const Tensor& expected, Difference& difference) {
  const Tensor a = cast(found, DType::i64), b = cast(expected, DType::i64);
  const size_t unequal = count_unequal<int64_t>(a, b);
  if (unequal != 0)
    difference.problem =
        std::to_string(unequal) + " of " + std::to_string(a.elements()) + " elements are not equal";
  for (int64_t i = 0; i < a.elements(); ++i) {
    const auto x = static_cast<double>(a.as<int64_t>()[i]),
               y = static_cast<double>(b.as<int64_t>()[i]);
    difference.largest_expected = std::max(difference.largest_expected, std::abs(y));
    difference.largest_error = std::max(difference.largest_error, std::abs(x - y));
  }
}

void compare_floats(const Tensor& found, const Tensor& expected, Difference& difference) {
  const Tensor a = cast(found, DType::f64), b = cast(expected, DType::f64);
  for (int64_t i = 0; i < a.elements(); ++i) {
    const double x = a.as<double>()[i], y = b.as<double>()[i];
    if (std::isfinite(x) && std::isfinite(y)) {
      difference.largest_expected = std::max(difference.largest_expected, std::abs(y));
      difference.largest_error = std::max(difference.largest_error, std::abs(x - y));
    } else if (!(x == y || (std::isnan(x) && std::isnan(y)))) {
      difference.problem =
          "element " + std::to_string(i) + " is " + number_text(x) + ", not " + number_text(y);
      return;
    }
  }
}

}  // namespace

double Difference::relative() const {
  if (largest_error == 0) return 0;
  return largest_expected == 0 ? largest_error : largest_error / largest_expected;
}

Difference compare(const Tensor& found, const Tensor& expected) {
  Difference difference;
  if (found.dtype != expected.dtype || !(found.shape == expected.shape))
    difference.problem = "expected " + describe(expected.dtype, expected.shape);
  else if (is_float(expected.dtype))
    compare_floats(found, expected, difference);
  else
    compare_exactly(found, expected, difference);
  return difference;
}

Comparison compare(const TensorMap& found, const TensorMap& expected, double tolerance) {
  Comparison result;
  std::vector<std::vector<std::string>> rows = {
      {"output", "type", "largest", "largest error", "relative", "result"}};
  const bool only_one = found.size() == 1 && expected.size() == 1;
  for (const auto& [name, wanted] : expected) {
    const auto at = only_one ? found.begin() : found.find(name);
    if (at == found.end()) {
      rows.push_back({name, describe(wanted.dtype, wanted.shape), "", "", "", "no such output"});
      result.passed = false;
      continue;
    }
    const Tensor& tensor = at->second;
    const Difference d = compare(tensor, wanted);
    const bool good = d.problem.empty() && d.relative() <= tolerance;
    result.passed = result.passed && good;
    const std::string verdict = good ? "ok" : d.problem.empty() ? "too far off" : d.problem;
    rows.push_back({at->first, describe(tensor.dtype, tensor.shape),
                    number_text(d.largest_expected), number_text(d.largest_error),
                    number_text(d.relative()), verdict});
  }
  for (const auto& [name, tensor] : found)
    if (!only_one && !expected.contains(name))
      rows.push_back({name, describe(tensor.dtype, tensor.shape), "", "", "", "not compared"});
  result.table = table(rows);
  return result;
}

}  // namespace tutti::cli
