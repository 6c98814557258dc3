// SPDX-License-Identifier: Apache-2.0
#include "ops/region.h"

#include "core/error.h"

namespace tutti {
namespace {

constexpr std::string_view kFolds[] = {"sum", "prod", "max", "min", "any", "all"};
constexpr size_t kMaxInstructions = 4096;

// Checks one instruction of a part against what stands before it.
class Checker {
 public:
  Checker(const RegionPart& part, Types in, Types out)
      : part_(part), in_(in), out_(out), rows_(row_registers(part)) {}

  void check() {
    require_argument(part_.lanes >= 0 && part_.lanes <= part_.space.rank(), "region: ", part_.lanes,
                     " lane axes in a space of ", part_.space.rank());
    require_argument(part_.code.size() <= kMaxInstructions, "region: ", part_.code.size(),
                     " instructions; at most ", kMaxInstructions, " are wanted");
    for (int64_t extent : part_.space)
      require_argument(extent > 0 && extent < (int64_t{1} << 40), "region: extent ", extent);
    for (at_ = 0; at_ < part_.code.size(); ++at_) check(part_.code[at_]);
  }

 private:
  void want(bool holds, std::string_view what) {
    require_argument(holds, "region: instruction ", at_, ": ", what);
  }

  const RegionInstruction& reg(int32_t r) {
    want(r >= 0 && static_cast<size_t>(r) < at_ &&
             part_.code[static_cast<size_t>(r)].code != RegionCode::store,
         "uses a register that holds nothing");
    return part_.code[static_cast<size_t>(r)];
  }

  void check(const RegionInstruction& i) {
    switch (i.code) {
      case RegionCode::load:
        return access(i, in_);
      case RegionCode::constant:
        return;
      case RegionCode::index:
        want(i.at.size() == 1 && factors_fit(i.at[0]), "index wants one position");
        return;
      case RegionCode::cast:
        return (void)reg(i.a);
      case RegionCode::reduce:
        want(reg(i.a).dtype == i.dtype, "reduces another type");
        want(part_.lanes > 0, "reduces without lane axes");
        return;
      case RegionCode::compute:
        return compute(i);
      case RegionCode::store:
        want(reg(i.a).dtype == i.dtype, "stores another type");
        return access(i, out_);
    }
    want(false, "is of no known kind");
  }

  // Types are those the operator of the same function infers.
  void compute(const RegionInstruction& i) {
    want(static_cast<int>(i.fn) < elementwise_count(), "computes no known function");
    std::vector<TensorType> in;
    const int32_t operands[] = {i.a, i.b, i.c};
    for (int k = 0; k < info(i.fn).arity; ++k) in.push_back({reg(operands[k]).dtype, {}});
    const auto out = ElementwiseOp{i.fn}.infer(in);
    want(out[0].dtype == i.dtype, "has another type than its function gives");
  }

  bool factors_fit(const RegionIndex& index) {
    return index.factors.size() == static_cast<size_t>(part_.space.rank());
  }

  void access(const RegionInstruction& i, Types operands) {
    want(i.operand >= 0 && static_cast<size_t>(i.operand) < operands.size(), "names no operand");
    const TensorType& type = operands[static_cast<size_t>(i.operand)];
    want(type.dtype == i.dtype, "accesses an operand of another type");
    want(i.at.size() == type.shape.size(), "accesses an operand of another rank");
    for (size_t axis = 0; axis < i.at.size(); ++axis) {
      want(factors_fit(i.at[axis]), "has an index over other axes");
      int64_t low = i.at[axis].offset, high = low;
      bool fits = true;
      for (int k = 0; k < part_.space.rank(); ++k) {
        const int64_t factor = i.at[axis].factors[static_cast<size_t>(k)];
        int64_t reach = 0;
        fits = fits && !__builtin_mul_overflow(factor, part_.space[k] - 1, &reach) &&
               !__builtin_add_overflow(factor < 0 ? low : high, reach, factor < 0 ? &low : &high);
      }
      want(fits && low >= 0 && high < type.shape[axis].value(), "reaches outside of its operand");
    }
  }

  const RegionPart& part_;
  Types in_, out_;
  std::vector<bool> rows_;
  size_t at_ = 0;
};

}  // namespace

std::string_view to_string(RegionFold fold) { return kFolds[static_cast<int>(fold)]; }

std::vector<bool> row_registers(const RegionPart& part) {
  std::vector<bool> rows(part.code.size());
  const auto first_lane = static_cast<size_t>(part.space.rank() - part.lanes);
  auto varies = [&](const RegionInstruction& i) {
    for (const RegionIndex& index : i.at)
      for (size_t k = first_lane; k < index.factors.size(); ++k)
        if (index.factors[k] != 0) return true;
    return false;
  };
  auto row = [&](int32_t r, size_t before) {
    return r < 0 || static_cast<size_t>(r) >= before || rows[static_cast<size_t>(r)];
  };
  for (size_t i = 0; i < part.code.size(); ++i) {
    const RegionInstruction& code = part.code[i];
    if (code.code == RegionCode::reduce || code.code == RegionCode::constant)
      rows[i] = true;
    else
      rows[i] = !varies(code) && row(code.a, i) && row(code.b, i) && row(code.c, i);
  }
  return rows;
}

RegionAccess region_access(const RegionInstruction& instruction, const RegionPart& part,
                           const Dims& operand_strides) {
  RegionAccess access{0, Dims::filled(part.space.rank(), 0)};
  for (size_t axis = 0; axis < instruction.at.size(); ++axis) {
    const RegionIndex& index = instruction.at[axis];
    const int64_t stride = operand_strides[static_cast<int>(axis)];
    access.offset += index.offset * stride;
    for (int k = 0; k < part.space.rank(); ++k)
      access.strides[k] += index.factors[static_cast<size_t>(k)] * stride;
  }
  return access;
}

std::vector<TensorType> Region::infer(Types in) const {
  require_argument(!types.empty(), "region: has no output");
  for (const TensorType& type : types) (void)constant_dims(type.shape);
  for (const RegionPart& part : parts) Checker(part, in, types).check();
  return types;
}

}  // namespace tutti
