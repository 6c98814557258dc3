// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/gemm.h"

#include <algorithm>

#include "core/error.h"
#include "device/cpu/gemm_prepare.h"
#include "device/cpu/gemm_recipe.h"

namespace tutti::cpu {

namespace portable {
extern const GemmKernels kGemmKernels;
}
namespace avx2 {
extern const GemmKernels kGemmKernels;
}
namespace avx512 {
extern const GemmKernels kGemmKernels;
}

const GemmKernels& gemm_kernels(Isa isa) {
  if constexpr (kIsX86) {
    if (isa == Isa::avx512) return avx512::kGemmKernels;
    if (isa == Isa::avx2) return avx2::kGemmKernels;
  }
  return portable::kGemmKernels;
}

PostOp PostOp::add(int operand, const MatrixLayout& layout) { return {Kind::add, operand, layout}; }

PostOp PostOp::multiply(int operand, const MatrixLayout& layout) {
  return {Kind::multiply, operand, layout};
}

PostOp PostOp::bias(int operand, DType dtype) { return add(operand, {dtype, 0, 1, {}}); }

PostOp PostOp::scale(float factor) {
  PostOp op{Kind::scale};
  op.factor = factor;
  return op;
}

PostOp PostOp::apply(Unary unary) {
  PostOp op{Kind::unary};
  op.unary = unary;
  return op;
}

PostOp PostOp::round(DType dtype) {
  PostOp op{Kind::round};
  op.dtype = dtype;
  return op;
}

Gemm::Gemm(const GemmProblem& problem, int threads, Isa isa)
    : recipe_(std::make_unique<GemmRecipe>(prepare_gemm(problem, threads, isa))) {}
Gemm::~Gemm() = default;
Gemm::Gemm(Gemm&&) noexcept = default;
Gemm& Gemm::operator=(Gemm&&) noexcept = default;

size_t Gemm::workspace_bytes() const { return scratch_bytes(*recipe_); }

void Gemm::run(const GemmArgs& args, void* workspace, Pool& pool) const {
  run_recipe(*recipe_, args, workspace, pool);
}

namespace {

/// Packs all of B into the scratch memory, matrix by matrix of those that differ.
void pack_first(const GemmRun& run, Pool& pool) {
  const GemmRecipe& recipe = run.recipe;
  const GemmProblem& problem = recipe.problem;
  const int64_t panel_floats = problem.k * recipe.width;
  pool.parallel(recipe.packed_matrices * recipe.panels, [&](int64_t number, int) {
    int64_t rest = number / recipe.panels;
    int64_t at = 0;
    for (size_t i = kGemmBatchRank; i-- > 0;) {
      if (problem.b.batch_strides[i] == 0) continue;
      at += rest % problem.batch[i] * recipe.given_b.batch_strides[i];
      rest /= problem.batch[i];
    }
    const void* b = static_cast<const char*>(run.args.b) +
                    at * static_cast<int64_t>(size_of(recipe.given_b.dtype));
    recipe.copy_b(run, BatchDims{}, b, number % recipe.panels, 0, problem.k,
                  run.packed_b() + number * panel_floats);
  });
}

}  // namespace

void run_recipe(const GemmRecipe& recipe, const GemmArgs& args, void* workspace, Pool& pool) {
  require_argument(pool.threads() <= recipe.threads, "a pool of ", pool.threads(),
                   " threads runs a matrix product prepared for ", recipe.threads);
  const GemmRun run{recipe, args, static_cast<float*>(workspace)};
  const GemmKernels& kernels = gemm_kernels(recipe.isa);
  if (recipe.packed_floats > 0) pack_first(run, pool);
  const auto task = recipe.problem.a.dtype == DType::f64 ? kernels.run_task_f64 : kernels.run_task;
  pool.parallel(recipe.batches * recipe.row_tasks * recipe.panel_tasks,
                [&](int64_t number, int thread) { task(run, number, thread); });
}

}  // namespace tutti::cpu
