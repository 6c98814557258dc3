// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "device/cpu/gemm.h"

namespace tutti::cpu {

/// Depth, height, width; of fewer dimensions the last ones.
using Spatial = std::array<int64_t, 3>;

/// How images lie in memory: strides in elements, 0 repeats the same element. Fastest where
/// spatial_strides[2] == 1.
struct ImageLayout {
  DType dtype = DType::f32;
  int64_t image_stride = 0;
  int64_t channel_stride = 0;
  Spatial spatial_strides{};
};

/// A PostOp whose operand, if it has one, lies like images of the output: of a bias per channel
/// all strides but channel_stride are 0. op.layout is not read.
struct ConvPostOp {
  PostOp op;
  ImageLayout operand;
};

/// A convolution as PyTorch has it or, when transposed, its gradient by the input
/// (conv_transpose). Of 1 and 2 dimensions the leading entries of every Spatial stay as they are
/// here. Types: f32, bf16, f16 each; sums in f32.
struct ConvProblem {
  int64_t images = 1;
  int64_t groups = 1;
  int64_t in_channels = 0;   ///< of all groups
  int64_t out_channels = 0;  ///< of all groups
  Spatial in_size{1, 1, 1};
  Spatial out_size{1, 1, 1};
  Spatial kernel{1, 1, 1};
  Spatial stride{1, 1, 1};
  Spatial padding{0, 0, 0};  ///< zeros in front; those behind follow from out_size
  Spatial dilation{1, 1, 1};
  bool transposed = false;
  ImageLayout input;
  ImageLayout output;
  /// Weights [out, in / groups, kernel...], transposed [in, out / groups, kernel...]: strides of
  /// the first two axes, the kernel is dense.
  DType weight_dtype = DType::f32;
  std::array<int64_t, 2> weight_strides{};
  /// Whether the weights are what winograd_weights makes, packed as PackedLayout::of(isa, f32).
  bool winograd = false;
  std::vector<ConvPostOp> post_ops;  ///< at most kMaxPostOps
};

/// Pointers of one run; operands by PostOp::operand. The output overlaps neither input nor weights.
struct ConvArgs {
  const void* input = nullptr;
  const void* weights = nullptr;
  void* output = nullptr;
  const void* const* operands = nullptr;
};

struct ConvPlan;

/// A prepared convolution. Immutable; several threads may run it at once with their own
/// workspaces. Results have the same bits for any number of threads. Windows of the input are
/// copied block by block into the caches; the matrix of all of them never exists.
class Conv {
 public:
  /// Plans for pools of up to `threads`. Throws invalid_argument and unsupported like Gemm.
  explicit Conv(const ConvProblem& problem, int threads, Isa isa = current_isa());
  ~Conv();
  Conv(Conv&&) noexcept;
  Conv& operator=(Conv&&) noexcept;

  /// Bytes of scratch memory a run needs, aligned to 64.
  size_t workspace_bytes() const;

  /// Allocates nothing. Throws invalid_argument when the pool has more threads than planned for.
  void run(const ConvArgs& args, void* workspace, Pool& pool) const;

 private:
  std::unique_ptr<ConvPlan> plan_;
};

/// Whether 2 x 2 pixels at a time (Winograd's F(2x2, 3x3)), for 2.25 times fewer multiplications,
/// can compute the problem and is worth it. Looks at neither layouts nor weights. A NaN or an
/// infinity spreads to all pixels made from the same 4 x 4; sums are as exact as direct ones.
bool winograd_pays(const ConvProblem& problem);

/// The 16 c x o matrix of 3 x 3 weights [o, c, 3, 3] (contiguous, f32, bf16 or f16) that the
/// algorithm multiplies with: row f * c + i for frequency f and channel i.
void winograd_weights(const void* weights, DType dtype, int64_t outputs, int64_t channels,
                      float* matrix);

/// The inverse: f32 weights [o, c, 3, 3], but for rounding.
void winograd_weights_back(const float* matrix, int64_t outputs, int64_t channels, float* weights);

}  // namespace tutti::cpu
