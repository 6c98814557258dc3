// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/cpu/gemm.h"

namespace tutti::cpu {

/// "2.6.3" when this build has oneDNN (option TUTTI_ONEDNN) and can use it, else empty.
std::string dnnl_version_text();

/// Whether DnnlMatmul reads a matrix of k rows packed for `isa` whose outputs have these columns.
/// It does not where oneDNN would want padding that PackedLayout has not.
bool dnnl_reads_packed(Isa isa, int64_t k, const std::vector<int64_t>& columns);

/// A matrix product prepared in oneDNN, with the contract of Gemm but for three things: operands
/// do not overlap outputs; run is called from one thread at a time and makes a few small
/// allocations inside oneDNN; bits may depend on the number of threads. Each task of a pool runs a
/// block of rows and columns in its own thread; OpenMP never starts a team.
class DnnlMatmul {
 public:
  /// Nothing where oneDNN is absent or does not take the problem: f32 throughout; A and B with one
  /// stride of 1, or B packed and dnnl_reads_packed; outputs and operands with column stride 1,
  /// an operand like its output or one row; no rounding, and the functions named in the source.
  static std::optional<DnnlMatmul> prepare(const GemmProblem& problem, int threads,
                                           Isa isa = current_isa());
  ~DnnlMatmul();
  DnnlMatmul(DnnlMatmul&&) noexcept;
  DnnlMatmul& operator=(DnnlMatmul&&) noexcept;

  /// Bytes of scratch memory a run needs, aligned to 64.
  size_t workspace_bytes() const;

  /// Throws invalid_argument when the pool has more threads than prepared for, and internal when
  /// oneDNN fails.
  void run(const GemmArgs& args, void* workspace, Pool& pool);

 private:
  struct State;
  explicit DnnlMatmul(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tutti::cpu
