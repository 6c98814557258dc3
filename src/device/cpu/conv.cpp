// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/conv.h"

#include <algorithm>

#include "core/error.h"
#include "device/cpu/conv_plan.h"
#include "device/cpu/gemm_prepare.h"

namespace tutti::cpu {

namespace portable {
extern const ConvKernels kConvKernels;
}
namespace avx2 {
extern const ConvKernels kConvKernels;
}
namespace avx512 {
extern const ConvKernels kConvKernels;
}

const ConvKernels& conv_kernels(Isa isa) {
  if constexpr (kIsX86) {
    if (isa == Isa::avx512) return avx512::kConvKernels;
    if (isa == Isa::avx2) return avx2::kConvKernels;
  }
  return portable::kConvKernels;
}

namespace {

int64_t volume(const Spatial& size) { return size[0] * size[1] * size[2]; }

bool reads(const PostOp& op) {
  return op.kind == PostOp::Kind::add || op.kind == PostOp::Kind::multiply;
}

void check(const ConvProblem& p, int threads) {
  require_argument(threads >= 1, "a convolution for ", threads, " threads");
  require_argument(p.groups >= 1 && p.images >= 0 && p.in_channels >= 0 && p.out_channels >= 0,
                   "a convolution of ", p.images, " images, ", p.groups, " groups, ", p.in_channels,
                   " to ", p.out_channels, " channels");
  require_argument(p.in_channels % p.groups == 0 && p.out_channels % p.groups == 0,
                   "a convolution of ", p.groups, " groups from ", p.in_channels, " to ",
                   p.out_channels, " channels: groups divide channels");
  require_argument(p.post_ops.size() <= kMaxPostOps, "a convolution with ", p.post_ops.size(),
                   " post-ops: at most ", kMaxPostOps);
  for (size_t d = 0; d < 3; ++d) {
    require_argument(p.kernel[d] >= 1 && p.stride[d] >= 1 && p.dilation[d] >= 1 &&
                         p.in_size[d] >= 0 && p.out_size[d] >= 0,
                     "a convolution with kernel ", p.kernel[d], ", stride ", p.stride[d],
                     ", dilation ", p.dilation[d], " from ", p.in_size[d], " to ", p.out_size[d],
                     " pixels");
  }
}

/// Whether all pixels made lie at one distance from each other.
bool folds(const ImageLayout& layout, const Spatial& grid, const Spatial& step) {
  const auto stride = [&](size_t d) { return layout.spatial_strides[d] * step[d]; };
  int64_t expected = stride(2) * grid[2];
  if (grid[1] > 1 && stride(1) != expected) return false;
  expected *= grid[1];
  return grid[0] <= 1 || stride(0) == expected;
}

/// The part of a plan that makes the pixels `first`, `first` + out_step, ...
ConvPart make_part(const ConvPlan& plan, const Spatial& first) {
  const ConvProblem& p = plan.problem;
  ConvPart part;
  ConvSource& source = part.source;
  part.first = first;
  source.input = p.input;
  source.in_size = p.in_size;
  source.channels = plan.in_group();
  source.outputs = plan.out_group();
  source.weight_dtype = p.weight_dtype;
  source.weight_strides = p.weight_strides;
  if (p.transposed) std::swap(source.weight_strides[0], source.weight_strides[1]);
  std::vector<std::pair<int64_t, int64_t>> taps[3];  // offset, index in the kernel
  for (size_t d = 0; d < 3; ++d) {
    part.out_step[d] = p.transposed ? p.stride[d] : 1;
    source.in_step[d] = p.transposed ? 1 : p.stride[d];
    source.grid[d] =
        std::max<int64_t>(0, (p.out_size[d] - first[d] + part.out_step[d] - 1) / part.out_step[d]);
    for (int64_t t = 0; t < p.kernel[d]; ++t) {
      if (!p.transposed) {
        taps[d].push_back({t * p.dilation[d] - p.padding[d], t});
        continue;
      }
      const int64_t distance = first[d] + p.padding[d] - t * p.dilation[d];
      if (distance % p.stride[d] == 0) taps[d].push_back({distance / p.stride[d], t});
    }
  }
  for (const auto& [d, dt] : taps[0]) {
    for (const auto& [h, ht] : taps[1]) {
      for (const auto& [w, wt] : taps[2]) {
        source.taps.push_back({{d, h, w}, (dt * p.kernel[1] + ht) * p.kernel[2] + wt});
      }
    }
  }
  source.folded = folds(p.output, source.grid, part.out_step);
  for (const ConvPostOp& op : p.post_ops) {
    if (reads(op.op))
      source.folded = source.folded && folds(op.operand, source.grid, part.out_step);
  }
  return part;
}

/// The layout as a matrix of channels and pixels.
MatrixLayout matrix_of(const ConvPlan& plan, const ConvPart& part, const ImageLayout& layout) {
  const auto stride = [&](size_t d) { return layout.spatial_strides[d] * part.out_step[d]; };
  const bool folded = part.source.folded;
  return {layout.dtype,
          layout.channel_stride,
          stride(2),
          {layout.image_stride, plan.out_group() * layout.channel_stride, folded ? 0 : stride(0),
           folded ? 0 : stride(1)}};
}

/// A 1 x 1 convolution whose input is a matrix as it lies.
bool is_pointwise(const ConvPart& part) {
  const ConvSource& source = part.source;
  return source.taps.size() == 1 && source.grid == source.in_size &&
         source.taps[0].offset == Spatial{} && source.in_step == Spatial{1, 1, 1} &&
         folds(source.input, source.grid, {1, 1, 1});
}

/// Everything of the matrix product but A, B and where they come from.
GemmProblem matrix_problem(const ConvPlan& plan, const ConvPart& part) {
  const ConvSource& source = part.source;
  const bool depthwise = plan.way == ConvPlan::Way::depthwise;
  GemmProblem gemm;
  gemm.m = depthwise ? plan.problem.out_channels : plan.out_group();
  gemm.n = volume(source.grid);
  gemm.k = static_cast<int64_t>(source.taps.size()) * source.channels;
  gemm.batch = {plan.problem.images, depthwise ? 1 : plan.problem.groups, 1, 1};
  GemmOutput output{gemm.n, matrix_of(plan, part, plan.problem.output), {}};
  for (const ConvPostOp& op : plan.problem.post_ops) {
    output.post_ops.push_back(op.op);
    output.post_ops.back().operand = static_cast<int>(output.post_ops.size()) - 1;
    output.post_ops.back().layout = matrix_of(plan, part, op.operand);
  }
  gemm.outputs.push_back(output);
  return gemm;
}

void prepare_part(const ConvPlan& plan, ConvPart& part, Isa isa) {
  GemmProblem gemm = matrix_problem(plan, part);
  const ConvSource& from = part.source;
  const ImageLayout& input = plan.problem.input;
  const bool transposed = plan.problem.transposed;
  const int64_t group_rows = transposed ? plan.in_group() * from.weight_strides[1]
                                        : plan.out_group() * from.weight_strides[0];
  gemm.a = {from.weight_dtype, from.weight_strides[0], 1, {0, group_rows, 0, 0}};
  gemm.b = {input.dtype,
            input.channel_stride,
            input.spatial_strides[2],
            {input.image_stride, plan.in_group() * input.channel_stride, 0, 0}};
  GemmSource source;
  if (plan.way != ConvPlan::Way::product || !is_pointwise(part)) {
    const bool lines = input.spatial_strides[2] * from.in_step[2] == 1;
    source = {nullptr, conv_kernels(isa).copy_windows, lines ? 16.0 : 48.0};
  }
  if (!from.folded) source.finish = conv_kernels(isa).finish_lines;
  if (transposed) source.copy_a = conv_kernels(isa).copy_weights;
  part.recipe = prepare_gemm(gemm, plan.threads, isa, source);
}

/// Elements from the first pixel of the output, or of an operand, to the first one of a part.
int64_t first_pixel(const ConvPart& part, const ImageLayout& layout) {
  int64_t at = 0;
  for (size_t d = 0; d < 3; ++d) at += part.first[d] * layout.spatial_strides[d];
  return at;
}

void run_part(const ConvPlan& plan, const ConvPart& part, const GemmArgs& gemm, void* workspace,
              Pool& pool) {
  if (plan.way == ConvPlan::Way::product) {
    run_recipe(part.recipe, gemm, workspace, pool);
    return;
  }
  require_argument(pool.threads() <= plan.threads, "a pool of ", pool.threads(),
                   " threads runs a convolution prepared for ", plan.threads);
  const ConvKernels& kernels = conv_kernels(part.recipe.isa);
  float* scratch = static_cast<float*>(workspace);
  const GemmRun run{part.recipe, gemm, scratch};
  if (plan.way == ConvPlan::Way::depthwise) {
    const DepthwisePlan& d = plan.depthwise;
    pool.parallel(plan.problem.images * plan.problem.out_channels * d.blocks, [&](int64_t task,
                                                                                  int thread) {
      kernels.run_depthwise(run, plan, task, scratch + static_cast<size_t>(thread) * d.floats());
    });
    return;
  }
  const WinogradPlan& w = plan.winograd;
  pool.parallel(plan.problem.images * w.row_blocks * w.column_blocks * w.panel_tasks,
                [&](int64_t task, int thread) {
                  kernels.run_winograd(run, plan, task,
                                       scratch + static_cast<size_t>(thread) * w.floats());
                });
}

}  // namespace

Conv::Conv(const ConvProblem& problem, int threads, Isa isa) : plan_(std::make_unique<ConvPlan>()) {
  check(problem, threads);
  ConvPlan& plan = *plan_;
  plan.problem = problem;
  plan.threads = threads;
  if (problem.winograd) {
    plan.way = ConvPlan::Way::winograd;
  } else if (problem.groups > 1 && problem.groups == problem.in_channels && !problem.transposed) {
    plan.way = ConvPlan::Way::depthwise;
  }
  const Spatial phases = problem.transposed ? problem.stride : Spatial{1, 1, 1};
  for (int64_t d = 0; d < phases[0]; ++d) {
    for (int64_t h = 0; h < phases[1]; ++h) {
      for (int64_t w = 0; w < phases[2]; ++w) {
        ConvPart part = make_part(plan, {d, h, w});
        if (volume(part.source.grid) > 0) plan.parts.push_back(std::move(part));
      }
    }
  }
  for (ConvPart& part : plan.parts) {
    prepare_part(plan, part, isa);
    part.recipe.source = &part.source;
  }
  if (plan.way == ConvPlan::Way::winograd) plan.winograd = plan_winograd(plan, isa);
  if (plan.way == ConvPlan::Way::depthwise && !plan.parts.empty())
    plan.depthwise = plan_depthwise(plan, isa);
}

Conv::~Conv() = default;
Conv::Conv(Conv&&) noexcept = default;
Conv& Conv::operator=(Conv&&) noexcept = default;

size_t Conv::workspace_bytes() const {
  const size_t threads = static_cast<size_t>(plan_->threads);
  if (plan_->way == ConvPlan::Way::depthwise)
    return plan_->depthwise.floats() * sizeof(float) * threads;
  if (plan_->way == ConvPlan::Way::winograd)
    return plan_->winograd.floats() * sizeof(float) * threads;
  size_t bytes = 0;
  for (const ConvPart& part : plan_->parts) bytes = std::max(bytes, scratch_bytes(part.recipe));
  return bytes;
}

void Conv::run(const ConvArgs& args, void* workspace, Pool& pool) const {
  const ConvPlan& plan = *plan_;
  const auto shifted = [](const void* base, DType dtype, int64_t elements) {
    return static_cast<const char*>(base) + elements * static_cast<int64_t>(size_of(dtype));
  };
  for (const ConvPart& part : plan.parts) {
    const void* operands[kMaxPostOps] = {};
    for (size_t i = 0; i < plan.problem.post_ops.size(); ++i) {
      const ConvPostOp& op = plan.problem.post_ops[i];
      if (!reads(op.op)) continue;
      operands[i] =
          shifted(args.operands[op.op.operand], op.operand.dtype, first_pixel(part, op.operand));
    }
    const ImageLayout& out = plan.problem.output;
    void* output = const_cast<char*>(shifted(args.output, out.dtype, first_pixel(part, out)));
    run_part(plan, part, {args.weights, args.input, &output, operands}, workspace, pool);
  }
}

}  // namespace tutti::cpu
