// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/session.h"
#include "tutti/session.h"

namespace tutti {

struct Session::State {
  State(std::shared_ptr<const Program> program, int threads);

  const Function& function() const { return session->program().graph.function("run"); }
  /// The plan for these inputs, all of them checked. A null tensor of a held input that was given
  /// before has the shape it had then.
  size_t check_inputs(std::span<const Tensor> inputs);
  void check_outputs(size_t plan, std::span<const Tensor> outputs) const;
  /// Named inputs in order; null for held ones left out.
  std::vector<Tensor> in_order(const TensorMap& inputs) const;
  std::vector<Tensor> new_outputs(size_t plan) const;
  TensorMap named(size_t plan, const std::vector<Tensor>& outputs) const;
  /// Remembers which held inputs a plan has got.
  void note_given(size_t plan, std::span<const Tensor> inputs);

  /// Makes ready the plans of another rank of the program's mesh. Throws invalid_argument when the
  /// mesh has another number of ranks, or there are no plans for the rank.
  void become(int rank, int ranks);

  std::shared_ptr<const Program> whole;  ///< with the plans of all ranks
  int threads;
  int rank;  ///< whose plans `session` has
  std::unique_ptr<runtime::Session> session;
  std::vector<std::string> input_names;
  std::vector<TensorType> input_types;
  std::vector<bool> held;                ///< by input
  std::vector<Dims> shapes;              ///< by input: of the run at hand, or the last one
  std::vector<std::vector<bool>> given;  ///< by plan and input: held inputs that have a value
};

}  // namespace tutti
