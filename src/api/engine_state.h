// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>

#include "compile/compile.h"
#include "tutti/engine.h"

namespace tutti {

/// What engines and their sessions share. A program never changes once it is here: plan() puts
/// another one in its place.
struct Engine::State {
  std::mutex mutex;
  std::shared_ptr<const Program> program;
  CompileOptions options;
  std::vector<int> ranks = {0};  ///< whose plans are made

  std::shared_ptr<const Program> current() {
    const std::lock_guard lock(mutex);
    return program;
  }
};

/// The ranks of the program's mesh that have plans; all of them when there is no plan.
///
/// Throws invalid_argument for a mesh or context that is none, and a rank that is not in it.
std::vector<int> planned_ranks(const Program& program);

/// The shapes of all inputs of `run`, those not given from the symbols of the others, symbols that
/// none has from the example.
///
/// Throws invalid_argument naming the input that is not known or does not follow.
std::vector<Dims> complete_shapes(const Graph& graph, const InputShapes& given,
                                  const SymbolValues& example = {});

/// Gives values of `run` as further outputs, by their names. Throws not_found for one that is not
/// there, invalid_argument for the name of an output.
void watch(Graph& graph, const std::vector<std::string>& names);

/// Throws not_found naming a held input that `run` does not have.
void check_held(const Graph& graph, const std::vector<std::string>& held);

}  // namespace tutti
