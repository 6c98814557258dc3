// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "core/strided.h"
#include "ops/reduce.h"
#include "ops/region.h"

namespace tutti {
namespace {

// Runs a part one instruction at a time over the whole space, with the operators' own code.
class PlainPart {
 public:
  PlainPart(const RegionPart& part, const KernelArgs& args) : part_(part), args_(args) {}

  void run() {
    for (const RegionInstruction& i : part_.code) {
      values_.push_back(i.code == RegionCode::store ? Tensor{}
                                                    : Tensor::zeros(i.dtype, part_.space));
      run(i);
    }
  }

 private:
  const Tensor& value(int32_t reg) const { return values_[static_cast<size_t>(reg)]; }

  void run(const RegionInstruction& i) {
    switch (i.code) {
      case RegionCode::load:
        return move(i, args_.in[static_cast<size_t>(i.operand)], true);
      case RegionCode::store:
        return move(i, args_.out[static_cast<size_t>(i.operand)], false);
      case RegionCode::constant: {
        double number = i.value;
        const Dims zero = Dims::filled(part_.space.rank(), 0);
        const Tensor& y = values_.back();
        return copy_strided(y.shape, &number, DType::f64, zero, y.data, y.dtype, y.strides);
      }
      case RegionCode::index:
        return write_index(i);
      case RegionCode::cast: {
        const Tensor &x = value(i.a), &y = values_.back();
        return copy_strided(y.shape, x.data, x.dtype, x.strides, y.data, y.dtype, y.strides);
      }
      case RegionCode::compute: {
        std::vector<Tensor> in;
        for (int32_t reg : {i.a, i.b, i.c})
          if (reg >= 0) in.push_back(value(reg));
        return ElementwiseOp{i.fn}.cpu({in, {&values_.back(), 1}, nullptr, args_.pool});
      }
      case RegionCode::reduce:
        return reduce(i);
    }
  }

  void move(const RegionInstruction& i, const Tensor& operand, bool load) {
    const RegionAccess access = region_access(i, part_, operand.strides);
    char* memory = operand.as<char>() + access.offset * static_cast<int64_t>(size_of(i.dtype));
    const Tensor& reg = load ? values_.back() : value(i.a);
    if (load)
      copy_strided(part_.space, memory, i.dtype, access.strides, reg.data, i.dtype, reg.strides);
    else
      copy_strided(part_.space, reg.data, i.dtype, reg.strides, memory, i.dtype, access.strides);
  }

  void write_index(const RegionInstruction& i) {
    const Dims steps(i.at[0].factors);
    int64_t at = 0;
    Tensor y = Tensor::zeros(DType::i64, part_.space);
    for_each_offset<1>(part_.space, {steps}, [&](const auto& offset) {
      y.as<int64_t>()[at++] = i.at[0].offset + offset[0];
    });
    values_.back() = cast(y, i.dtype);
  }

  void reduce(const RegionInstruction& i) {
    Reduce op{std::string(to_string(i.fold)), {}, true};
    Tensor small = values_.back();
    for (int k = part_.space.rank() - part_.lanes; k < part_.space.rank(); ++k) {
      op.axes.push_back(k);
      small.shape[k] = 1;
    }
    small = Tensor::zeros(i.dtype, small.shape);
    op.cpu({{&value(i.a), 1}, {&small, 1}, nullptr, args_.pool});
    Dims strides = small.strides;
    for (int64_t k : op.axes) strides[static_cast<int>(k)] = 0;
    const Tensor& y = values_.back();
    copy_strided(y.shape, small.data, i.dtype, strides, y.data, i.dtype, y.strides);
  }

  const RegionPart& part_;
  const KernelArgs& args_;
  std::vector<Tensor> values_;
};

}  // namespace

void Region::cpu(const KernelArgs& args) const {
  for (const RegionPart& part : parts) PlainPart(part, args).run();
}

}  // namespace tutti
