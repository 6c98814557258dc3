// SPDX-License-Identifier: Apache-2.0
#include "compile/compile.h"

#include <algorithm>
#include <optional>

#include "compile/pass.h"
#include "compile/share_work.h"
#include "core/error.h"
#include "ops/collectives.h"
#include "ops/fused_conv.h"
#include "ops/fused_matmul.h"
#include "ops/implementation.h"
#include "ops/matmul.h"

namespace tutti {
namespace {

Tensor layout_of(const Operand& operand) {
  return {nullptr, operand.dtype, operand.shape, operand.strides, nullptr};
}

// "" and "auto" leave the choice to the order of the rows.
void check(const CompileOptions& options) {
  const std::string& name = options.matmul;
  if (name.empty() || name == "auto" || name == "plain") return;
  const auto rows = implementations();
  const bool known = std::any_of(rows.begin(), rows.end(), [&](const Implementation& row) {
    return row.op == Matmul::kName && row.name == name;
  });
  require(known || name != "onednn", Errc::unsupported, "matmul: this build has no oneDNN; ",
          "apt-get install libdnnl-dev and build again, or choose own or auto");
  require_argument(known, "matmul: ", name, "; wanted auto, own, onednn or plain");
}

void choose_implementations(std::vector<Step>& steps, const CompileOptions& options) {
  const std::string matmul = options.matmul == "auto" ? "" : options.matmul;
  for (Step& step : steps) {
    if (runs_on_ranks(step.op)) {
      step.implementation = kRanksImplementation;
      continue;
    }
    std::vector<Tensor> in, out;
    for (const Operand& operand : step.in) in.push_back(layout_of(operand));
    for (const Operand& operand : step.out) out.push_back(layout_of(operand));
    const bool product = step.op.as<Matmul>() || step.op.as<FusedMatmul>() || step.op.as<Conv>() ||
                         step.op.as<FusedConv>();
    step.implementation =
        prepare_kernel({step.op, in, out, options.threads}, product ? matmul : "").second;
  }
}

}  // namespace

std::vector<Plan> compile_plans(Program& program, const SymbolValues& symbols,
                                CompileOptions options, const std::vector<int>& ranks) {
  check(options);
  Compilation network{program, specialize(program.graph.function("run"), symbols), options};
  run_passes(network, network_passes());
  std::optional<SharedWork> work;
  if (!program.mesh.empty()) work = share_work(program, std::move(network.function));
  std::vector<Plan> plans;
  for (const int rank : ranks) {
    options.rank = rank;
    Compilation c = work ? part_of(*work, program, options) : network;
    run_passes(c, part_passes());
    Plan& plan = plans.emplace_back(place(c));
    plan.symbols = symbols;
    plan.rank = rank;
    choose_implementations(plan.prepare, options);
    choose_implementations(plan.run, options);
  }
  return plans;
}

Plan compile_plan(Program& program, const SymbolValues& symbols, const CompileOptions& options) {
  return std::move(compile_plans(program, symbols, options, {options.rank})[0]);
}

Function function_to_shard(const Program& program, const SymbolValues& symbols,
                           const CompileOptions& options) {
  Program copy = program;  // passes may add to it
  Compilation c{copy, specialize(program.graph.function("run"), symbols), options};
  run_passes(c, network_passes());
  return std::move(c.function);
}

}  // namespace tutti
