// SPDX-License-Identifier: Apache-2.0
#include "plan/engine_file.h"

#include "api/engine_state.h"
#include "compile/repack.h"
#include "core/log.h"
#include "device/cpu/isa.h"
#include "device/cpu/pool.h"
#include "import/weights.h"

namespace tutti {
namespace {

// Weights that the engine was built without, by name.
void bind_later(Program& program, const std::string& weights) {
  if (weights.empty() || missing_weights(program).empty()) return;
  const auto source = open_weights(weights);
  std::vector<Resident*> bare;
  for (Resident& resident : program.graph.residents)
    if (resident.kind == Resident::Kind::bound && resident.data.data == nullptr)
      bare.push_back(&resident);
  const BoundWeights bound = bind_weights(program.graph, *source);
  // Plans that were made without the bytes read them row by row.
  for (Resident* resident : bare)
    if (resident->data.data != nullptr && !resident->data.is_contiguous())
      resident->data = contiguous(resident->data);
  log(LogLevel::info, source->path(), ": ", bound.bound, " weights bound");
}

}  // namespace

void Engine::save(const std::string& path, bool strip) const {
  const auto program = state_->current();
  write_engine(path, *program, {std::string(to_string(cpu::current_isa())), strip});
}

Engine Engine::load(const std::string& path, const LoadOptions& options) {
  const cpu::Isa isa = cpu::current_isa();
  if (options.progress) options.progress("reading " + path, 0);
  ReadOptions read;
  read.isa = to_string(isa);
  read.weights = options.weights;
  read.check = options.check;
  auto program = std::make_shared<Program>(read_engine(path, read).program);
  bind_later(*program, options.weights);
  repack_for(*program, isa);

  auto state = std::make_shared<State>();
  state->ranks = planned_ranks(*program);
  state->options.threads = cpu::usable_cores();
  state->options.held = options.held.value_or(program->held);
  if (state->options.held != program->held) {
    check_held(program->graph, state->options.held);
    program->held = state->options.held;
    for (Plan& plan : program->plans) {
      if (options.progress) options.progress("compiling for other held inputs", 0.5);
      state->options.rank = plan.rank;
      plan = compile_plan(*program, SymbolValues(plan.symbols), state->options);
    }
  }
  if (missing_weights(*program).empty()) compute_derived(*program);
  if (options.progress) options.progress("ready", 1);
  state->program = std::move(program);
  return Engine(std::move(state));
}

}  // namespace tutti
