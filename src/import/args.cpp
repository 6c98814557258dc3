// SPDX-License-Identifier: Apache-2.0
#include "import/args.h"

#include <algorithm>
#include <numeric>

#include "import/lowering.h"

namespace tutti::pt2 {

const Dim& Number::as_dim() const {
  require_argument(kind != Kind::real, "a float stands where an integer is wanted");
  require(is_known, Errc::unsupported, "a condition on symbolic extents has no value");
  require(value == kNone, Errc::unsupported, "an extent or index that depends on values");
  return integer;
}

double Number::as_real() const {
  require(is_constant(), Errc::unsupported, "the number ", integer,
          " is symbolic; a constant is wanted");
  const auto whole = static_cast<double>(integer.value());
  return kind == Kind::real ? real * whole : whole;
}

Results::Results(const std::vector<ValueId>& values) {
  for (ValueId value : values) {
    items.emplace_back();
    if (value != kNone) items.back().emplace<Array>(Array{value});
  }
}

const Item& Args::item(std::string_view name) const {
  for (size_t i = 0; i < rule_.parameters.size(); ++i)
    if (rule_.parameters[i].name == name) return items_[i];
  fail(Errc::internal, "the schema ", rule_.row->schema, " has no ", name);
}

template <class T>
const T& Args::get(std::string_view name, std::string_view wanted) const {
  const T* found = std::get_if<T>(&item(name));
  require_argument(found != nullptr, "argument ", name, " is no ", wanted);
  return *found;
}

bool Args::has(std::string_view name) const {
  return !std::holds_alternative<std::monostate>(item(name));
}

bool Args::is_tensor(std::string_view name) const {
  return std::holds_alternative<Ref>(item(name));
}

Ref Args::ref(std::string_view name) const { return get<Ref>(name, "tensor"); }

Array Args::array(std::string_view name) const { return lowering_.read(ref(name)); }

ValueId Args::value(std::string_view name) const { return lowering_.value(ref(name)); }

ValueId Args::value_or_none(std::string_view name) const { return has(name) ? value(name) : kNone; }

Operand Args::operand(std::string_view name) const {
  return is_tensor(name) ? Operand(array(name)) : Operand(number(name));
}

const std::vector<Ref>& Args::refs(std::string_view name) const {
  return get<std::vector<Ref>>(name, "list of tensors");
}

std::vector<ValueId> Args::values(std::string_view name) const {
  std::vector<ValueId> list;
  for (const Ref tensor : refs(name)) list.push_back(lowering_.value(tensor));
  return list;
}

const Number& Args::number(std::string_view name) const { return get<Number>(name, "number"); }

const std::string& Args::text(std::string_view name) const {
  return get<std::string>(name, "text");
}

std::optional<ElementType> Args::type(std::string_view name) const {
  if (!has(name)) return std::nullopt;
  return get<ElementType>(name, "element type");
}

std::vector<Number> Args::numbers(std::string_view name) const {
  if (const auto* one = std::get_if<Number>(&item(name))) return {*one};
  // An empty list may have any type in the file.
  if (const auto* none = std::get_if<std::vector<Ref>>(&item(name)); none && none->empty())
    return {};
  return get<std::vector<Number>>(name, "list of numbers");
}

std::vector<Dim> Args::dims(std::string_view name) const {
  std::vector<Dim> list;
  for (const Number& number : numbers(name)) list.push_back(number.as_dim());
  return list;
}

std::vector<int64_t> Args::integers(std::string_view name, size_t count) const {
  std::vector<int64_t> list;
  for (const Number& number : numbers(name)) list.push_back(number.as_dim().value());
  if (list.size() == 1 && count > 1) list.assign(count, list[0]);
  return list;
}

int64_t Args::axis(std::string_view name, int rank) const {
  return normal_axis(integer(name), rank);
}

std::vector<int64_t> Args::axes(std::string_view name, int rank) const {
  std::vector<int64_t> list;
  if (has(name))
    for (int64_t axis : integers(name)) list.push_back(normal_axis(axis, rank));
  std::sort(list.begin(), list.end());
  if (rank == 0) return {};
  if (list.empty()) {
    list.resize(static_cast<size_t>(rank));
    std::iota(list.begin(), list.end(), 0);
  }
  require_argument(std::adjacent_find(list.begin(), list.end()) == list.end(), "argument ", name,
                   " names an axis twice");
  return list;
}

int64_t normal_axis(int64_t axis, int rank) {
  const int64_t count = std::max(rank, 1);
  require_argument(axis >= -count && axis < count, "axis ", axis, " is none of ", rank);
  return axis < 0 ? axis + count : axis;
}

}  // namespace tutti::pt2
