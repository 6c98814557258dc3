// SPDX-License-Identifier: Apache-2.0
#include "ops/matmul_kernel.h"

#include <numeric>
#include <optional>

#include "core/error.h"
#include "device/cpu/dnnl_matmul.h"
#include "device/cpu/gemm.h"
#include "ops/fused_matmul.h"
#include "ops/loops.h"
#include "ops/matmul.h"
#include "ops/view_layout.h"

namespace tutti {
namespace {

bool is_gemm_type(DType t) {
  return t == DType::f32 || t == DType::bf16 || t == DType::f16 || t == DType::f64;
}

// A matrix with its batch axes, seen as rows x columns: strides over [batch..., rows, columns].
struct Matrix {
  DType dtype;
  Dims strides;
};

// Joins batch axes and rows where every matrix allows it, and fills the problem's layouts.
class Layouts {
 public:
  Layouts(Dims batch, int64_t rows) : batch_(std::move(batch)), rows_(rows) {}

  // `follows`: has rows of its own; b has none and must not change with the batch for a merge.
  void add(const Dims& strides, bool follows) { all_.push_back({strides, follows}); }

  void merge() {
    while (batch_.rank() > 0) {
      const int last = batch_.rank() - 1;
      bool fits = true;
      for (const auto& [strides, follows] : all_) {
        if (batch_[last] == 1) continue;
        const int64_t wanted = follows ? strides[last + 1] * rows_ : 0;
        fits = fits && (strides[last] == wanted || (follows && rows_ == 1));
      }
      if (!fits) return;
      for (auto& [strides, follows] : all_) {
        if (batch_[last] != 1 && rows_ == 1 && follows) strides[last + 1] = strides[last];
        strides.erase(last);
      }
      rows_ *= batch_[last];
      batch_.erase(last);
    }
  }

  bool fits() const { return batch_.rank() <= cpu::kGemmBatchRank; }
  int64_t rows() const { return rows_; }
  cpu::BatchDims batch() const {
    cpu::BatchDims dims{1, 1, 1, 1};
    for (int i = 0; i < batch_.rank(); ++i) dims[static_cast<size_t>(i)] = batch_[i];
    return dims;
  }
  cpu::MatrixLayout layout(size_t i, DType dtype) const {
    const Dims& strides = all_[i].strides;
    cpu::MatrixLayout layout{dtype, strides[batch_.rank()], strides[batch_.rank() + 1], {}};
    for (int k = 0; k < batch_.rank(); ++k)
      layout.batch_strides[static_cast<size_t>(k)] = strides[k];
    return layout;
  }

 private:
  struct Entry {
    Dims strides;
    bool follows;
  };
  Dims batch_;
  int64_t rows_;
  std::vector<Entry> all_;
};

// Product: cpu::Gemm or cpu::DnnlMatmul.
template <class Product>
class GemmKernel final : public Kernel {
 public:
  GemmKernel(Product product, const KernelSpec& spec)
      : gemm_(std::move(product)), inputs_(spec.in.size()), outputs_(spec.out.size()) {}

  size_t workspace() const override { return gemm_.workspace_bytes(); }

  void run(const KernelArgs& args) override {
    for (size_t i = 0; i < args.out.size(); ++i) outputs_[i] = args.out[i].data;
    for (size_t i = 0; i < args.in.size(); ++i) inputs_[i] = args.in[i].data;
    gemm_.run({inputs_[0], inputs_[1], outputs_.data(), inputs_.data()}, args.workspace, args.pool);
  }

 private:
  Product gemm_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
};

// The operator on these operands as one product; nothing for types and batches it cannot be.
std::optional<cpu::GemmProblem> problem_of(const FusedMatmul& op, const KernelSpec& spec) {
  const Tensor &a = spec.in[0], &b = spec.in[1];
  const bool packed = !op.packed.empty();
  for (const auto* side : {&spec.in, &spec.out})
    for (const Tensor& t : *side)
      if (!is_gemm_type(t.dtype) || (t.dtype == DType::f64) != (a.dtype == DType::f64))
        return std::nullopt;
  const Dims& shape = spec.out[0].shape;
  const int rank = shape.rank();
  Dims batch;
  for (int axis = 0; axis < rank - 2; ++axis) batch.push_back(shape[axis]);
  Layouts layouts(batch, shape[rank - 2]);
  // a and b are seen as matrices of the output's rank: their last two strides are their own.
  auto own_matrix = [&](const Tensor& t) {
    Dims strides = broadcast_strides(t, shape);
    strides[rank - 2] = t.strides[t.rank() - 2];
    strides[rank - 1] = t.strides[t.rank() - 1];
    return strides;
  };
  layouts.add(own_matrix(a), true);
  layouts.add(packed ? Dims::filled(rank, 0) : own_matrix(b), false);
  std::vector<DType> types{a.dtype, b.dtype};
  for (size_t i = 0; i < spec.out.size(); ++i) {
    layouts.add(spec.out[i].strides, true);
    types.push_back(spec.out[i].dtype);
    for (const EpilogueStep& step : op.epilogues[i]) {
      if (!step.reads()) continue;
      const Tensor& operand = spec.in[static_cast<size_t>(step.operand)];
      layouts.add(broadcast_strides(operand, spec.out[i].shape), true);
      types.push_back(operand.dtype);
    }
  }
  layouts.merge();
  if (!layouts.fits()) return std::nullopt;

  cpu::GemmProblem problem;
  problem.m = layouts.rows();
  problem.k = a.shape.back();
  problem.n = std::accumulate(op.columns.begin(), op.columns.end(), int64_t{0});
  problem.batch = layouts.batch();
  problem.a = layouts.layout(0, types[0]);
  problem.b = layouts.layout(1, types[1]);
  problem.b_packed = packed;
  size_t next = 2;
  for (size_t i = 0; i < spec.out.size(); ++i) {
    cpu::GemmOutput output{op.columns[i], layouts.layout(next, types[next]), {}};
    ++next;
    for (const EpilogueStep& step : op.epilogues[i]) {
      const cpu::MatrixLayout layout =
          step.reads() ? layouts.layout(next, types[next]) : cpu::MatrixLayout{};
      next += step.reads();
      output.post_ops.push_back(post_op(step, layout, a.dtype));
    }
    problem.outputs.push_back(std::move(output));
  }
  return problem;
}

std::unique_ptr<Kernel> own(const FusedMatmul& op, const KernelSpec& spec) {
  const auto problem = problem_of(op, spec);
  if (!problem) return nullptr;
  return std::make_unique<GemmKernel<cpu::Gemm>>(cpu::Gemm(*problem, spec.threads), spec);
}

std::unique_ptr<Kernel> onednn(const FusedMatmul& op, const KernelSpec& spec) {
  const auto problem = problem_of(op, spec);
  if (!problem) return nullptr;
  auto product = cpu::DnnlMatmul::prepare(*problem, spec.threads);
  if (!product) return nullptr;
  return std::make_unique<GemmKernel<cpu::DnnlMatmul>>(std::move(*product), spec);
}

// A product without columns apart; nothing when there is nothing to compute.
std::optional<FusedMatmul> fused(const KernelSpec& spec) {
  if (spec.out[0].elements() == 0) return std::nullopt;
  FusedMatmul op{{spec.out[0].shape.back()}, {{}}, {}};
  if (spec.in.size() > 2) op.epilogues[0].push_back({EpilogueStep::Kind::add, 2});
  return op;
}

}  // namespace

std::unique_ptr<Kernel> prepare_fused_matmul(const KernelSpec& spec) {
  return own(*spec.op.as<FusedMatmul>(), spec);
}

std::unique_ptr<Kernel> prepare_matmul(const KernelSpec& spec) {
  const auto op = fused(spec);
  return op ? own(*op, spec) : nullptr;
}

std::unique_ptr<Kernel> prepare_fused_matmul_onednn(const KernelSpec& spec) {
  return onednn(*spec.op.as<FusedMatmul>(), spec);
}

std::unique_ptr<Kernel> prepare_matmul_onednn(const KernelSpec& spec) {
  const auto op = fused(spec);
  return op ? onednn(*op, spec) : nullptr;
}

}  // namespace tutti
