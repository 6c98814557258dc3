// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "device/cpu/pool.h"
#include "plan/plan.h"
#include "runtime/binding.h"

namespace tutti::runtime {

/// When a step ran: seconds since the start of its run. A collective that runs beside other steps
/// has the time in which the caller started it.
struct StepTime {
  const Step* step;
  double start, end;
  double waited;  ///< before it, for collectives that it needs
};

/// The activations and state of one caller: walks the steps of a plan.
///
/// Many sessions may share one program; a session serves one caller at a time. After construction
/// run allocates nothing, infers nothing and looks up no name.
class Session {
 public:
  /// Prepares all plans of the program, which are of one rank and must not change. Throws not_found
  /// naming a weight without bytes.
  Session(std::shared_ptr<const Program> program, int threads);
  ~Session();

  /// The plan for these shapes; throws invalid_argument listing the shapes planned.
  size_t find_plan(std::span<const Dims> input_shapes) const;

  /// Runs a plan. Tensors are contiguous, in the order of the plan's ports, with their types; null
  /// data of a held input keeps what it was. Absent outputs are ignored.
  void run(size_t plan, std::span<const Tensor> inputs, std::span<const Tensor> outputs);

  /// The same, and leaves the time of each step in `times`.
  void profile(size_t plan, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
               std::vector<StepTime>& times);

  /// See tutti::Session::bind; a bound session is unbound first.
  void bind(Communicator& communicator, const RankGroups& groups, double build_deadline_s);
  void unbind();
  bool bound() const { return binding_ != nullptr; }
  uint64_t bytes_sent() const { return binding_ ? binding_->bytes_sent() : 0; }
  std::string history() const { return binding_ ? binding_->history() : ""; }

  /// The content of a carried resident, or this rank's part of it, which shares the session's
  /// memory; throws not_found.
  Tensor carried(std::string_view name) const;
  /// Sets a carried resident, or all with an empty name, back to how they started.
  void reset(std::string_view name = {});

  const Program& program() const { return *program_; }
  /// Bytes of activations, workspace and state.
  size_t bytes() const;

 private:
  struct Runner;

  void make_residents();
  void make_runner(const Plan& plan, size_t& workspace_bytes);
  bool begin(Runner& runner, std::span<const Tensor> inputs, std::span<const Tensor> outputs);
  template <class Observer>
  void walk(Runner& runner, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
            const Observer& observer);

  std::shared_ptr<const Program> program_;
  cpu::Pool pool_;
  std::vector<Tensor> residents_;  // by ResidentId
  Tensor arena_, workspace_;
  std::unique_ptr<Binding> binding_;
  std::vector<std::unique_ptr<Runner>> runners_;  // by plan
};

}  // namespace tutti::runtime
