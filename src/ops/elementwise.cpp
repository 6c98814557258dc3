// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.h"

#include <array>

#include "ops/elementwise_table.h"
#include "ops/infer.h"

namespace tutti {
namespace {

template <int kArity, unsigned kTakes, class F>
constexpr ElementwiseInfo info_of(const elementwise::Row<kArity, kTakes, F>& row) {
  return {row.name,
          kArity,
          row.doc,
          (kTakes & elementwise::kFloat) != 0,
          (kTakes & elementwise::kInteger) != 0,
          (kTakes & elementwise::kBoolean) != 0};
}

constexpr std::array<ElementwiseInfo, elementwise::kCount> kInfo = std::apply(
    [](const auto&... row) {
      return std::array<ElementwiseInfo, elementwise::kCount>{info_of(row)...};
    },
    elementwise::kTable);

static_assert(std::apply(
                  [](const auto&... row) {
                    int i = 0;
                    return ((static_cast<int>(row.fn) == i++) && ...);
                  },
                  elementwise::kTable),
              "rows stand in the order of the enum");
static_assert(elementwise::kCount == static_cast<int>(Elementwise::select) + 1);

bool takes(const ElementwiseInfo& row, DType dtype) {
  if (is_float(dtype)) return row.floats;
  return is_integer(dtype) ? row.integers : row.booleans;
}

std::string wanted_types(const ElementwiseInfo& row) {
  std::vector<std::string_view> names;
  if (row.floats) names.push_back("a float");
  if (row.integers) names.push_back("an integer");
  if (row.booleans) names.push_back("a boolean");
  return join_list(names, " or ") + " type";
}

std::string_view operand_name(const ElementwiseInfo& row, size_t i) {
  if (row.arity == 1) return "x";
  constexpr std::string_view kNames[] = {"condition", "a", "b"};
  return kNames[row.arity == 3 ? i : i + 1];
}

}  // namespace

int elementwise_count() { return elementwise::kCount; }

const ElementwiseInfo& info(Elementwise fn) { return kInfo[static_cast<size_t>(fn)]; }

bool gives_boolean(Elementwise fn) {
  return (fn >= Elementwise::is_nan && fn <= Elementwise::logical_not) ||
         (fn >= Elementwise::equal && fn <= Elementwise::logical_xor);
}

void ElementwiseOp::set_name(std::string_view name) {
  for (size_t i = 0; i < kInfo.size(); ++i) {
    if (kInfo[i].name != name) continue;
    fn = static_cast<Elementwise>(i);
    return;
  }
  fail(Errc::not_found, "elementwise function ", name, " is not known");
}

std::vector<TensorType> ElementwiseOp::infer(Types in) const {
  const ElementwiseInfo& row = info(fn);
  require_operands(in, static_cast<size_t>(row.arity), static_cast<size_t>(row.arity));
  const size_t first = fn == Elementwise::select ? 1 : 0;
  if (fn == Elementwise::select) require_dtype("condition", in[0], DType::boolean);
  TensorType out = in[first];
  require_argument(takes(row, out.dtype), operand_name(row, first), " is ", out, "; ",
                   wanted_types(row), " is wanted");
  for (size_t i = first + 1; i < in.size(); ++i)
    require_argument(in[i].dtype == out.dtype, operand_name(row, i), " is ", in[i],
                     "; the type of ", operand_name(row, first), ", ", out.dtype, ", is wanted");
  out.shape = in[0].shape;
  for (size_t i = 1; i < in.size(); ++i) out.shape = broadcast(out.shape, in[i].shape);
  if (gives_boolean(fn)) out.dtype = DType::boolean;
  return {out};
}

std::vector<TensorType> Cast::infer(Types in) const {
  require_operands(in, 1, 1);
  return {{dtype, in[0].shape}};
}

Shape broadcast(const Shape& a, const Shape& b) {
  const bool a_is_longer = a.size() >= b.size();
  Shape shape = a_is_longer ? a : b;
  const Shape& other = a_is_longer ? b : a;
  for (size_t i = 1; i <= other.size(); ++i) {
    Dim& extent = shape[shape.size() - i];
    const Dim& found = other[other.size() - i];
    if (found == Dim(1) || found == extent) continue;
    const bool unequal = extent.is_constant() && found.is_constant();
    require_argument(!unequal || extent == Dim(1), "extents ", a, " and ", b,
                     " do not broadcast; equal extents or 1 are wanted");
    // Of two that may be equal the constant one is kept, else a's.
    if (extent == Dim(1) || found.is_constant() || (!a_is_longer && !extent.is_constant()))
      extent = found;
  }
  return shape;
}

}  // namespace tutti
