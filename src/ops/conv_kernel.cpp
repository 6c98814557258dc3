// SPDX-License-Identifier: Apache-2.0
#include "ops/conv_kernel.h"

#include <optional>

#include "device/cpu/dnnl_conv.h"
#include "device/cpu/packed_matrix.h"
#include "ops/loops.h"

namespace tutti {
namespace {

bool is_taken(DType t) { return t == DType::f32 || t == DType::bf16 || t == DType::f16; }

cpu::ImageLayout image_layout(DType dtype, const Dims& strides) {
  cpu::ImageLayout layout{dtype, strides[0], strides[1], {}};
  const int space = strides.rank() - 2;
  for (int i = 0; i < space; ++i)
    layout.spatial_strides[static_cast<size_t>(3 - space + i)] = strides[2 + i];
  return layout;
}

// A vector of one number for each channel, as an operand of the output.
Tensor per_channel(const Tensor& bias, int rank) {
  Tensor t = bias;
  for (int axis = 2; axis < rank; ++axis) {
    t.shape.push_back(1);
    t.strides.push_back(0);
  }
  return t;
}

bool is_dense_kernel(const Tensor& w) {
  int64_t dense = 1;
  for (int axis = w.rank() - 1; axis >= 2; --axis) {
    if (w.shape[axis] != 1 && w.strides[axis] != dense) return false;
    dense *= w.shape[axis];
  }
  return true;
}

// Product: cpu::Conv or cpu::DnnlConv.
template <class Product>
class ConvKernel final : public Kernel {
 public:
  ConvKernel(Product product, size_t inputs) : conv_(std::move(product)), inputs_(inputs) {}

  size_t workspace() const override { return conv_.workspace_bytes(); }

  void run(const KernelArgs& args) override {
    for (size_t i = 0; i < args.in.size(); ++i) inputs_[i] = args.in[i].data;
    conv_.run({inputs_[0], inputs_[1], args.out[0].data, inputs_.data()}, args.workspace,
              args.pool);
  }

 private:
  Product conv_;
  std::vector<const void*> inputs_;
};

// The operator on these operands; nothing for types and layouts that no implementation takes.
std::optional<cpu::ConvProblem> problem_of(const Conv& op, const Epilogue& epilogue,
                                           const Dims& w_shape, bool packed,
                                           const KernelSpec& spec) {
  const Tensor &x = spec.in[0], &w = spec.in[1], &y = spec.out[0];
  for (const Tensor& t : spec.in)
    if (!is_taken(t.dtype)) return std::nullopt;
  if (y.elements() == 0 || epilogue.size() > cpu::kMaxPostOps) return std::nullopt;
  cpu::ConvProblem problem = conv_sizes(op, x.shape, w_shape, y.shape);
  problem.input = image_layout(x.dtype, x.strides);
  problem.output = image_layout(y.dtype, y.strides);
  problem.weight_dtype = w.dtype;
  problem.winograd = packed;
  if (!packed) {
    const int64_t taps = problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
    // Rows of a matrix: all of an output channel's weights beside each other.
    if (!is_dense_kernel(w) || w.elements() == 0) return std::nullopt;
    if (!op.transposed && w.shape[1] > 1 && w.strides[1] != taps) return std::nullopt;
    problem.weight_strides = {w.strides[0], w.strides[1]};
  }
  for (const EpilogueStep& step : epilogue) {
    cpu::ConvPostOp post{post_op(step, {}, y.dtype), {}};
    if (step.reads()) {
      Tensor operand = spec.in[static_cast<size_t>(step.operand)];
      post.operand = image_layout(operand.dtype, broadcast_strides(operand, y.shape));
    }
    problem.post_ops.push_back(post);
  }
  return problem;
}

}  // namespace

cpu::ConvProblem conv_sizes(const Conv& op, const Dims& x, const Dims& w, const Dims& y) {
  cpu::ConvProblem p;
  p.images = x[0];
  p.groups = op.groups;
  p.in_channels = x[1];
  p.out_channels = y[1];
  p.transposed = op.transposed;
  const int space = x.rank() - 2;
  for (int i = 0; i < space; ++i) {
    const auto to = static_cast<size_t>(3 - space + i), from = static_cast<size_t>(i);
    p.in_size[to] = x[2 + i];
    p.out_size[to] = y[2 + i];
    p.kernel[to] = w[2 + i];
    p.stride[to] = op.stride[from];
    p.padding[to] = op.padding_before[from];
    p.dilation[to] = op.dilation[from];
  }
  return p;
}

namespace {

std::optional<cpu::ConvProblem> problem_of_conv(const KernelSpec& spec) {
  Epilogue epilogue;
  std::vector<Tensor> in(spec.in.begin(), spec.in.end());
  if (in.size() > 2) {
    epilogue.push_back({EpilogueStep::Kind::add, 2});
    in[2] = per_channel(in[2], in[0].rank());
  }
  return problem_of(*spec.op.as<Conv>(), epilogue, in[1].shape, false,
                    {spec.op, in, spec.out, spec.threads});
}

std::optional<cpu::ConvProblem> problem_of_fused_conv(const KernelSpec& spec) {
  const auto& op = *spec.op.as<FusedConv>();
  const bool packed = !op.packed.empty();
  const auto read = cpu::PackedLayout::of(cpu::current_isa(), DType::f32);
  if (packed && (op.packed != to_string(read) || !spec.in[1].is_contiguous())) return std::nullopt;
  const Dims w = packed ? Dims{op.outputs, spec.in[0].shape[1], 3, 3} : spec.in[1].shape;
  return problem_of(op, op.epilogues[0], w, packed, spec);
}

std::unique_ptr<Kernel> own(const std::optional<cpu::ConvProblem>& problem,
                            const KernelSpec& spec) {
  if (!problem) return nullptr;
  return std::make_unique<ConvKernel<cpu::Conv>>(cpu::Conv(*problem, spec.threads), spec.in.size());
}

std::unique_ptr<Kernel> onednn(const std::optional<cpu::ConvProblem>& problem,
                               const KernelSpec& spec) {
  if (!problem) return nullptr;
  auto product = cpu::DnnlConv::prepare(*problem, spec.threads);
  if (!product) return nullptr;
  return std::make_unique<ConvKernel<cpu::DnnlConv>>(std::move(*product), spec.in.size());
}

}  // namespace

std::unique_ptr<Kernel> prepare_conv(const KernelSpec& spec) {
  return own(problem_of_conv(spec), spec);
}

std::unique_ptr<Kernel> prepare_fused_conv(const KernelSpec& spec) {
  return own(problem_of_fused_conv(spec), spec);
}

std::unique_ptr<Kernel> prepare_conv_onednn(const KernelSpec& spec) {
  return onednn(problem_of_conv(spec), spec);
}

std::unique_ptr<Kernel> prepare_fused_conv_onednn(const KernelSpec& spec) {
  return onednn(problem_of_fused_conv(spec), spec);
}

}  // namespace tutti
