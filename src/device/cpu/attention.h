// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/band.h"
#include "tutti/tensor.h"

namespace tutti::cpu {

class Pool;
struct AttentionPlan;

/// Elements from one batch, head, row (query or key) and column to the next; any sign, 0 to repeat.
struct AttentionStrides {
  int64_t b = 0, n = 0, row = 0, column = 1;
};

/// What is fixed before data is seen: out = softmax(scale q k^T + mask) v.
///
/// q [b, n, s, d], k [b, n_kv, t, d], v [b, n_kv, t, dv], out [b, n, s, dv], all of `dtype`: f32,
/// bf16, f16 or f64. n_kv divides n; head h reads keys and values of head h / (n / n_kv).
/// A query attends to the keys of its band only, whatever s and t.
struct AttentionSpec {
  /// A mask [b, n, s, t]: boolean (true attends), or f32, bf16, f16 or f64 (added to the scores).
  struct Mask {
    DType dtype = DType::boolean;
    AttentionStrides strides;
  };

  int64_t b = 1, n = 1, n_kv = 1, s = 1, t = 1, d = 1, dv = 1;
  DType dtype = DType::f32;
  AttentionStrides q, k, v, out;
  double scale = 1;
  Band band;
  std::optional<Mask> mask;
};

/// Where the data lies. `lse` [b, n, s] contiguous, f32 (f64 for f64), when wanted: the natural
/// logarithm of the sum of the exponentials of a query's scores, -inf for a query that attends to
/// nothing.
struct AttentionArgs {
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  const void* mask = nullptr;
  void* out = nullptr;  ///< overlaps no input
  void* lse = nullptr;
};

/// Attention of one shape, prepared for the instruction set in use at construction.
///
/// Arithmetic is f32 (f64 for f64), the result is rounded once. A query whose keys are all masked
/// (false or -inf) gives 0. Memory beyond the arguments does not grow with s * t. Results do not
/// depend on the number of threads.
class Attention {
 public:
  /// Throws invalid_argument when sizes or types do not fit, unsupported for other types.
  explicit Attention(const AttentionSpec& spec);
  ~Attention();
  Attention(Attention&&) noexcept;
  Attention& operator=(Attention&&) noexcept;

  const AttentionSpec& spec() const;
  /// Bytes of workspace that execute needs with a pool of so many threads.
  size_t workspace_bytes(int threads) const;
  /// Allocates nothing; any number of calls may run at once, each with a workspace of its own.
  void execute(const AttentionArgs& args, void* workspace, Pool& pool) const;

 private:
  std::unique_ptr<AttentionPlan> plan_;
};

}  // namespace tutti::cpu
