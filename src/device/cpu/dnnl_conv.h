// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "device/cpu/conv.h"

namespace tutti::cpu {

/// A convolution prepared in oneDNN, with the contract of Conv but for two things: run is called
/// from one thread at a time, and makes a few small allocations inside oneDNN. Each task of a pool
/// runs some output channels of one image in its own thread; OpenMP never starts a team.
class DnnlConv {
 public:
  /// Nothing where oneDNN is absent or does not take the problem: f32 throughout, not transposed,
  /// weights as they are, no rounding, the functions named in dnnl_support.h, and layouts for which
  /// it has more than plain loops.
  static std::optional<DnnlConv> prepare(const ConvProblem& problem, int threads);
  ~DnnlConv();
  DnnlConv(DnnlConv&&) noexcept;
  DnnlConv& operator=(DnnlConv&&) noexcept;

  /// Bytes of scratch memory a run needs, aligned to 64.
  size_t workspace_bytes() const;

  /// Throws invalid_argument when the pool has more threads than prepared for, and internal when
  /// oneDNN fails.
  void run(const ConvArgs& args, void* workspace, Pool& pool);

 private:
  struct State;
  explicit DnnlConv(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tutti::cpu
