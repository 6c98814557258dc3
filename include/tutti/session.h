// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/communicator.h"
#include "tutti/tensor.h"

namespace tutti {

/// One step of a plan.
struct StepInfo {
  std::string operation;       ///< "matmul", "region", "all_gather", ...
  std::string implementation;  ///< "onednn", "own", ...
  std::string scope;           ///< where it stands in the source network
  std::string types;           ///< of operands and results
  bool prepare = false;        ///< runs only when a held input changed
  double flops = 0;            ///< of a product, convolution, attention; one multiply-add is two
  std::vector<int> ranks;      ///< of a collective, in order; empty where bind tells which
  uint64_t bytes_sent = 0;     ///< by this rank to the others of these ranks
};

/// When one step of a run ran.
struct StepTime : StepInfo {
  double start_ms = 0;  ///< since the start of the run
  double duration_ms = 0;
  double wait_ms = 0;  ///< before its start, for collectives that it needs
};

/// A run that was measured.
struct Profile {
  TensorMap outputs;            ///< what the run gave
  std::vector<StepTime> steps;  ///< in the order they ran
};

/// A rank's profile in the format of Chrome's trace viewer (chrome://tracing, ui.perfetto.dev): its
/// steps, and what it waited for. Traces of several ranks as one, each a process of it.
std::string chrome_trace(const Profile& profile, int rank = 0);
std::string join_traces(const std::vector<std::string>& traces);

/// Which ranks of a communicator a named group has, in order: {"tp", {0, 1}}.
using RankGroups = std::map<std::string, std::vector<int>>;

/// One caller's activations and state over an engine, made by Engine::session.
///
/// Serves one caller at a time; sessions on one engine share its weights and may run at once. A
/// session never compiles: it runs the shapes that were planned when it was made.
class Session {
 public:
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Runs once: inputs by name in, outputs by name back in memory of their own.
  ///
  /// A held input may be left out once it was given; it then keeps its value. An output that is
  /// None is left out of the result.
  /// Throws invalid_argument before anything runs: for a name, element type, shape or stride that
  /// is not the engine's (inputs are contiguous), null data, and shapes that are not planned, with
  /// those that are.
  TensorMap run(const TensorMap& inputs);

  /// Runs once in memory of the caller, in the order of Engine::inputs() and Engine::outputs().
  ///
  /// Outputs are contiguous, of the types and shapes of the plan, and do not overlap inputs; a null
  /// tensor stands for a held input that keeps its value, and for an output that is None.
  /// Allocates nothing and looks up no name. Throws as run(TensorMap) does.
  void run(std::span<const Tensor> inputs, std::span<const Tensor> outputs);

  /// Lets the collectives of the engine run on a group of ranks. All ranks of the communicator call
  /// it at once; engines may differ from rank to rank.
  ///
  /// The collectives of every plan and group are compared, by order, kind, dtype, reduction, count
  /// and root, before any runs. A named group that `groups` leaves out means the ranks along the
  /// axis of the mesh that has this name; else all ranks when every
  /// rank has that one name only and groups of as many as there are ranks. Ranks may take
  /// build_deadline_s to come. The communicator is not needed afterwards. A session of an engine
  /// with a mesh starts anew with the plans of its rank.
  /// Throws the same Error on all ranks: invalid_argument with the first difference, both sides
  /// shown, or names by rank that are not bound; what Communicator::run throws.
  void bind(Communicator& communicator, const RankGroups& groups = {},
            double build_deadline_s = 600);
  /// Leaves the group: peers that still run collectives with this rank fail. Nothing when unbound.
  void unbind();
  /// True from bind to unbind, also after a failure.
  bool bound() const;
  /// Bytes that collectives of this session have sent to other ranks since bind.
  uint64_t bytes_sent() const;

  /// The last collectives of every rank in each group of this session, for people; also after a
  /// failure.
  std::string history() const;

  /// Tensors that a run with these inputs may write its outputs to, in the order of
  /// Engine::outputs().
  std::vector<Tensor> make_outputs(std::span<const Tensor> inputs) const;

  /// Runs once and measures each step.
  Profile profile(const TensorMap& inputs);

  /// A copy of a carried resident, as the last run left it; throws not_found with nearest names,
  /// unsupported for one of which this rank has a part.
  Tensor read(std::string_view resident) const;

  /// Sets a carried resident, or all of them, back to how they started.
  void reset(std::string_view resident);
  void reset();

  /// Bytes of activations, workspace and state.
  size_t bytes() const;

 private:
  friend class Engine;
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tutti
