// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/binding.h"

namespace tutti::runtime {

/// Runs the collectives of one plan within a run: starts them at their steps and waits for them
/// before the steps that need it. Allocates nothing after bind.
class CallRunner {
 public:
  explicit CallRunner(const Plan& plan);

  /// Whether the plan has collectives, or asks for its rank.
  bool needs_ranks() const { return !call_of_step_.empty(); }
  bool bound() const { return binding_ != nullptr; }
  void bind(Binding& binding, size_t plan);
  void unbind();

  /// Waits for what step `step` of the plan needs; the number of steps stands for the end.
  void wait_before(size_t step);
  /// Starts the collective of a step; one that the next step needs runs to its end.
  void start(size_t step, std::span<const Tensor> in, std::span<const Tensor> out);
  /// The position of this rank that a `rank` operator asks for.
  int64_t position(const RankList& list) const { return binding_->position(list); }
  /// After an error: ends the groups on all ranks, and returns when no buffer is in use.
  void abandon(const std::string& reason) noexcept;

 private:
  void run_alone(std::span<const Tensor> in, std::span<const Tensor> out) const;

  std::vector<std::vector<int32_t>> waits_;  // by step, and one more
  std::vector<int32_t> call_of_step_;        // empty when no step needs ranks
  Binding* binding_ = nullptr;
  std::vector<Binding::Call>* calls_ = nullptr;
  struct Running {
    bool started = false;
    comm::Request request;
  };
  std::vector<Running> running_;  // by call
};

}  // namespace tutti::runtime
