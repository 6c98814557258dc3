// SPDX-License-Identifier: Apache-2.0
#include "ops/attention_kernel.h"

#include "device/cpu/attention.h"
#include "ops/attention.h"

namespace tutti {
namespace {

cpu::AttentionStrides strides_of(const Tensor& t) {
  return {t.strides[0], t.strides[1], t.strides[2], t.strides[3]};
}

class AttentionKernel final : public Kernel {
 public:
  AttentionKernel(const cpu::AttentionSpec& spec, int threads)
      : attention_(spec), threads_(threads) {}

  size_t workspace() const override { return attention_.workspace_bytes(threads_); }

  void run(const KernelArgs& args) override {
    const void* mask = args.in.size() > 3 ? args.in[3].data : nullptr;
    attention_.execute({args.in[0].data, args.in[1].data, args.in[2].data, mask, args.out[0].data,
                        args.out.size() > 1 ? args.out[1].data : nullptr},
                       args.workspace, args.pool);
  }

 private:
  cpu::Attention attention_;
  int threads_;
};

}  // namespace

std::unique_ptr<Kernel> prepare_attention(const KernelSpec& spec) {
  const auto& op = *spec.op.as<Attention>();
  const Tensor &q = spec.in[0], &k = spec.in[1], &v = spec.in[2], &out = spec.out[0];
  const DType t = q.dtype;
  if (t != DType::f32 && t != DType::bf16 && t != DType::f16 && t != DType::f64) return nullptr;
  if (out.elements() == 0) return nullptr;
  if (op.lse && !spec.out[1].is_contiguous()) return nullptr;
  cpu::AttentionSpec wanted;
  wanted.b = q.shape[0], wanted.n = q.shape[1], wanted.s = q.shape[2], wanted.d = q.shape[3];
  wanted.n_kv = k.shape[1], wanted.t = k.shape[2], wanted.dv = v.shape[3];
  wanted.dtype = t;
  wanted.q = strides_of(q), wanted.k = strides_of(k), wanted.v = strides_of(v);
  wanted.out = strides_of(out);
  if (k.shape[0] == 1) wanted.k.b = 0;
  if (v.shape[0] == 1) wanted.v.b = 0;
  wanted.scale = op.scale;
  wanted.band = op.band();
  if (spec.in.size() > 3) {
    const Tensor& mask = spec.in[3];
    int64_t strides[4] = {0, 0, 0, 0};
    for (int axis = 0; axis < mask.rank(); ++axis)
      if (mask.shape[axis] != 1) strides[4 - mask.rank() + axis] = mask.strides[axis];
    wanted.mask = {mask.dtype, {strides[0], strides[1], strides[2], strides[3]}};
  }
  return std::make_unique<AttentionKernel>(wanted, spec.threads);
}

}  // namespace tutti
