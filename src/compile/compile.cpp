// SPDX-License-Identifier: Apache-2.0
#include "compile/compile.h"

#include "compile/pass.h"
#include "ops/implementation.h"

namespace tutti {
namespace {

Tensor layout_of(const Operand& operand) {
  return {nullptr, operand.dtype, operand.shape, operand.strides, nullptr};
}

void choose_implementations(std::vector<Step>& steps, const CompileOptions& options) {
  for (Step& step : steps) {
    std::vector<Tensor> in, out;
    for (const Operand& operand : step.in) in.push_back(layout_of(operand));
    for (const Operand& operand : step.out) out.push_back(layout_of(operand));
    step.implementation = prepare_kernel({step.op, in, out, options.threads}).second;
  }
}

}  // namespace

Plan compile_plan(Program& program, const SymbolValues& symbols, const CompileOptions& options) {
  Compilation c{program, specialize(program.graph.function("run"), symbols), options};
  run_pipeline(c);
  Plan plan = place(c);
  plan.symbols = symbols;
  choose_implementations(plan.prepare, options);
  choose_implementations(plan.run, options);
  return plan;
}

}  // namespace tutti
