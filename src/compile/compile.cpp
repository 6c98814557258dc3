// SPDX-License-Identifier: Apache-2.0
#include "compile/compile.h"

#include <algorithm>

#include "compile/pass.h"
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

Plan compile_plan(Program& program, const SymbolValues& symbols, const CompileOptions& options) {
  check(options);
  Compilation c{program, specialize(program.graph.function("run"), symbols), options};
  run_pipeline(c);
  Plan plan = place(c);
  plan.symbols = symbols;
  plan.rank = options.rank;
  choose_implementations(plan.prepare, options);
  choose_implementations(plan.run, options);
  return plan;
}

Function function_to_shard(const Program& program, const SymbolValues& symbols,
                           const CompileOptions& options) {
  Program copy = program;  // passes may add to it
  Compilation c{copy, specialize(program.graph.function("run"), symbols), options};
  run_pipeline(c, "shard");
  return std::move(c.function);
}

}  // namespace tutti
