// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/op.h"
#include "ops/elementwise.h"

namespace tutti {

/// A position along one axis of a tensor: offset + sum of factors[k] * (position on space axis k).
struct RegionIndex {
  int64_t offset = 0;
  std::vector<int64_t> factors;
};

/// What an instruction of a region does.
enum class RegionCode : uint8_t {
  load,      ///< an element of input `operand` at `at`
  constant,  ///< `value`
  index,     ///< at[0] as a number
  compute,   ///< fn(a), fn(a, b) or fn(a, b, c)
  cast,      ///< a in the type `dtype`
  reduce,    ///< `fold` of a over the lane axes
  store,     ///< a becomes the element of output `operand` at `at`; no result
};

enum class RegionFold : uint8_t { sum, prod, max, min, any, all };

/// One instruction. Its result, register i for instruction i, has the element type `dtype`: small
/// floats are held as f32 and rounded to `dtype`, integers wrap to it.
struct RegionInstruction {
  RegionCode code = RegionCode::constant;
  DType dtype = DType::f32;
  Elementwise fn = Elementwise::add;
  RegionFold fold = RegionFold::sum;
  int32_t a = -1, b = -1, c = -1;  ///< registers
  int32_t operand = -1;            ///< input (load) or output (store)
  double value = 0;
  std::vector<RegionIndex> at;  ///< one for each axis of the operand
};

/// A program over an index space. The last `lanes` axes are lane axes: what `reduce` runs over. A
/// register that depends on no lane axis, as every result of reduce, has one value for all lanes.
struct RegionPart {
  Dims space;
  int lanes = 0;
  std::vector<RegionInstruction> code;
};

/// Elementwise operators, casts, views, concatenations and reductions of one group of axes, fused:
/// every part runs its code once for each position of its space.
///
/// Parts write disjoint elements, together all elements of all outputs.
struct Region {
  std::vector<RegionPart> parts;
  std::vector<TensorType> types;  ///< of the outputs, without symbols

  static constexpr auto kName = "region";
  static constexpr auto kDoc = "elementwise operators, views and reductions as one program";
  static constexpr auto fields() {
    return std::tuple{field("types", &Region::types, "types of the outputs"),
                      field("parts", &Region::parts, "programs and their index spaces")};
  }
  /// Checks every register, axis and bound: an accepted region touches nothing outside operands.
  std::vector<TensorType> infer(Types in) const;
  /// Runs one instruction at a time over the whole space, in memory of its own: the reference.
  void cpu(const KernelArgs& args) const;
};

/// For each register, whether it has one value for all lanes.
std::vector<bool> row_registers(const RegionPart& part);

/// The strides of an access in elements over the space axes, and its first element.
struct RegionAccess {
  int64_t offset = 0;
  Dims strides;
};
RegionAccess region_access(const RegionInstruction& instruction, const RegionPart& part,
                           const Dims& operand_strides);

std::string_view to_string(RegionFold fold);

// Text of the attributes: "[f32[2, 3]]" and "{space=[2, 3] lanes=1; r0 = load f32 in0[0+1*i0, ..];
// ...}".
std::string attribute_text(const std::vector<TensorType>& value);
std::string attribute_text(const std::vector<RegionPart>& value);
bool parse_attribute(std::string_view text, std::vector<TensorType>& value);
bool parse_attribute(std::string_view text, std::vector<RegionPart>& value);

}  // namespace tutti
