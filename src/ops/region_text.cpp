// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "core/error.h"
#include "ops/region.h"

namespace tutti {
namespace {

constexpr std::string_view kCodes[] = {"load", "constant", "index", "compute",
                                       "cast", "reduce",   "store"};

std::string index_text(const RegionIndex& index) {
  std::string text = std::to_string(index.offset);
  for (int64_t factor : index.factors) text += " " + std::to_string(factor);
  return text;
}

std::string instruction_text(const RegionInstruction& i) {
  std::string text = join(kCodes[static_cast<int>(i.code)], " ", i.dtype, " ",
                          i.code == RegionCode::compute  ? info(i.fn).name
                          : i.code == RegionCode::reduce ? to_string(i.fold)
                                                         : std::string_view("-"));
  text += join(" ", i.a, " ", i.b, " ", i.c, " ", i.operand, " ", i.value, " (");
  for (size_t axis = 0; axis < i.at.size(); ++axis)
    text += (axis ? ", " : "") + index_text(i.at[axis]);
  return text + ")";
}

// Reads words and signs one after the other; `ok` turns false at the first that does not fit.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  bool ok = true;

  bool at_end() {
    skip();
    return rest_.empty();
  }
  bool take(char sign) {
    skip();
    if (rest_.empty() || rest_[0] != sign) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char sign) { ok = take(sign) && ok; }
  std::string_view word() {
    skip();
    const size_t end = std::min(rest_.find_first_of(" ,;(){}[]"), rest_.size());
    const std::string_view found = rest_.substr(0, end);
    rest_.remove_prefix(end);
    ok = ok && !found.empty();
    return found;
  }
  template <class T>
  void number(T& value) {
    const std::string_view text = word();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    ok = ok && error == std::errc() && end == text.data() + text.size();
  }
  std::string_view until(char sign) {
    const size_t end = rest_.find(sign);
    ok = ok && end != std::string_view::npos;
    if (!ok) return {};
    const std::string_view found = rest_.substr(0, end + 1);
    rest_.remove_prefix(end + 1);
    return found;
  }

 private:
  void skip() {
    while (!rest_.empty() && rest_[0] == ' ') rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

void read_type(Reader& in, TensorType& type) {
  const auto dtype = parse_dtype(in.word());
  in.ok = in.ok && dtype;
  if (!in.ok) return;
  type.dtype = *dtype;
  in.ok = parse_attribute(in.until(']'), type.shape);
}

void read_function(Reader& in, RegionInstruction& i) {
  const std::string_view word = in.word();
  bool known = word == "-";
  if (i.code == RegionCode::compute)
    for (int f = 0; f < elementwise_count(); ++f)
      if (info(static_cast<Elementwise>(f)).name == word) {
        i.fn = static_cast<Elementwise>(f);
        known = true;
      }
  if (i.code == RegionCode::reduce)
    for (int f = 0; f < 6; ++f)
      if (to_string(static_cast<RegionFold>(f)) == word) {
        i.fold = static_cast<RegionFold>(f);
        known = true;
      }
  in.ok = in.ok && known;
}

void read_instruction(Reader& in, RegionInstruction& i, int rank) {
  const std::string_view code = in.word();
  bool known = false;
  for (int k = 0; k < 7; ++k)
    if (kCodes[k] == code) {
      i.code = static_cast<RegionCode>(k);
      known = true;
    }
  const auto dtype = parse_dtype(in.word());
  in.ok = in.ok && known && dtype;
  if (!in.ok) return;
  i.dtype = *dtype;
  read_function(in, i);
  in.number(i.a), in.number(i.b), in.number(i.c), in.number(i.operand), in.number(i.value);
  in.expect('(');
  while (in.ok && !in.take(')')) {
    if (!i.at.empty()) in.expect(',');
    RegionIndex& index = i.at.emplace_back();
    in.number(index.offset);
    for (int k = 0; in.ok && k < rank; ++k) in.number(index.factors.emplace_back());
  }
}

}  // namespace

std::string attribute_text(const std::vector<TensorType>& value) {
  return "{" + join_list(value, "; ") + "}";
}

std::string attribute_text(const std::vector<RegionPart>& value) {
  std::string text = "{";
  for (const RegionPart& part : value) {
    text += join("{", part.space, " ", part.lanes, ";");
    for (const RegionInstruction& i : part.code) text += " " + instruction_text(i) + ";";
    text += "}";
  }
  return text + "}";
}

bool parse_attribute(std::string_view text, std::vector<TensorType>& value) {
  Reader in(text);
  value.clear();
  in.expect('{');
  while (in.ok && !in.take('}')) {
    if (!value.empty()) in.expect(';');
    read_type(in, value.emplace_back());
  }
  return in.ok && in.at_end();
}

bool parse_attribute(std::string_view text, std::vector<RegionPart>& value) {
  Reader in(text);
  value.clear();
  in.expect('{');
  while (in.ok && in.take('{')) {
    RegionPart& part = value.emplace_back();
    std::vector<int64_t> space;
    in.ok = parse_attribute(in.until(']'), space) && space.size() <= Dims::kMaxRank;
    if (!in.ok) break;
    part.space = Dims(space);
    in.number(part.lanes);
    in.expect(';');
    while (in.ok && !in.take('}')) {
      read_instruction(in, part.code.emplace_back(), part.space.rank());
      in.expect(';');
    }
  }
  in.expect('}');
  return in.ok && in.at_end();
}

}  // namespace tutti
