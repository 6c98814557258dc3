// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "import/aliases.h"
#include "import/pt2_types.h"

namespace tutti::pt2 {

/// A Python number of the program. Integers may be symbolic: they are extents, never tensors.
struct Number {
  enum class Kind : uint8_t { boolean, integer, real };
  Kind kind = Kind::integer;
  Dim integer = 1;        ///< of an integer; 0 or 1 of a boolean; a symbolic factor of a float
  double real = 0;        ///< of a float
  ValueId value = kNone;  ///< f64 without extents: what only the graph can compute
  bool is_known = true;   ///< false for a boolean that depends on symbols

  static Number of_bool(bool value) { return {Kind::boolean, value ? 1 : 0}; }
  static Number of_dim(Dim value) { return {Kind::integer, std::move(value)}; }
  static Number of_real(double value, Dim factor = 1) {
    return {Kind::real, std::move(factor), value};
  }
  static Number of_value(ValueId value, Kind kind = Kind::real) {
    Number number{kind};
    number.value = value;
    return number;
  }
  /// True when it is neither symbolic nor unknown.
  bool is_constant() const { return integer.is_constant() && is_known && value == kNone; }
  /// The integer or boolean; throws invalid_argument for a float.
  const Dim& as_dim() const;
  /// As a float; throws unsupported when it is symbolic.
  double as_real() const;
};

/// What a name or an argument of the program stands for. Rows give new tensors as Arrays.
using Item = std::variant<std::monostate, Ref, std::vector<Ref>, Number, std::vector<Number>,
                          std::string, ElementType, Array>;

/// What lowering a call gives, in the order of its outputs.
struct Results {
  std::vector<Item> items;

  Results() = default;
  Results(ValueId value) : items{Array{value}} {}
  Results(Array value) : items{value} {}
  Results(Ref tensor) : items{tensor} {}
  Results(Number number) : items{std::move(number)} {}
  Results(std::vector<Ref> tensors) : items{std::move(tensors)} {}
  /// Several new tensors; kNone for one that is not computed.
  Results(const std::vector<ValueId>& values);
};

/// A tensor or a number.
struct Operand {
  Array array;
  std::optional<Number> number;

  Operand(ValueId id) : array{id} {}
  Operand(Array a) : array(a) {}
  Operand(Number n) : number(std::move(n)) {}
};

class Lowering;
class Args;

/// How an operator is lowered.
struct Row {
  std::string_view names;   ///< "add.Tensor add.Scalar"; without a dot, the overload `default`
  std::string_view schema;  ///< parameters and their defaults: "self, other, alpha=1"
  Results (*lower)(Lowering& l, const Args& a);
};

/// A row with its schema read.
struct Rule {
  struct Parameter {
    std::string_view name;
    std::optional<Item> default_value;
  };
  const Row* row = nullptr;
  std::vector<Parameter> parameters;
};

/// The arguments of one call, by the names of its rule.
///
/// Reading one throws invalid_argument when the program gives another kind of argument or nothing.
class Args {
 public:
  Args(Lowering& lowering, const Rule& rule, std::vector<Item> items, size_t list_size)
      : lowering_(lowering), rule_(rule), items_(std::move(items)), list_size_(list_size) {}

  /// The name of a parameter by its place in the schema.
  std::string_view name(size_t place) const { return rule_.parameters.at(place).name; }
  /// False for None.
  bool has(std::string_view name) const;
  bool is_tensor(std::string_view name) const;
  Ref ref(std::string_view name) const;
  Array array(std::string_view name) const;
  /// Throws unsupported for complex numbers.
  ValueId value(std::string_view name) const;
  /// kNone for None.
  ValueId value_or_none(std::string_view name) const;
  Operand operand(std::string_view name) const;
  /// An index of -1 stands for None.
  const std::vector<Ref>& refs(std::string_view name) const;
  std::vector<ValueId> values(std::string_view name) const;

  const Number& number(std::string_view name) const;
  Dim dim(std::string_view name) const { return number(name).as_dim(); }
  int64_t integer(std::string_view name) const { return dim(name).value(); }
  double real(std::string_view name) const { return number(name).as_real(); }
  bool flag(std::string_view name) const { return integer(name) != 0; }
  const std::string& text(std::string_view name) const;
  /// Nothing for None.
  std::optional<ElementType> type(std::string_view name) const;
  /// A list; one number is a list of one.
  std::vector<Number> numbers(std::string_view name) const;
  std::vector<Dim> dims(std::string_view name) const;
  /// One number stands for `count` of them.
  std::vector<int64_t> integers(std::string_view name, size_t count = 1) const;
  /// An axis of `rank`, counted from the front.
  int64_t axis(std::string_view name, int rank) const;
  /// Axes counted from the front, ascending; all of them for None and an empty list.
  std::vector<int64_t> axes(std::string_view name, int rank) const;

  /// How many tensors the program expects in a result that is a list.
  size_t list_size() const { return list_size_; }

 private:
  const Item& item(std::string_view name) const;
  template <class T>
  const T& get(std::string_view name, std::string_view wanted) const;

  Lowering& lowering_;
  const Rule& rule_;
  std::vector<Item> items_;
  size_t list_size_;
};

/// `axis` counted from the front; throws invalid_argument unless it is one of `rank`.
int64_t normal_axis(int64_t axis, int rank);

}  // namespace tutti::pt2
