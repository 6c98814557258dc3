// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <map>

#include "cli/arguments.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string type_text(DType dtype, const Extents& shape) {
  return std::string(to_string(dtype)) + shape_text(shape);
}

void print_ports(const char* head, const std::vector<PortInfo>& ports) {
  Rows rows = {{head, "type", ""}};
  for (const PortInfo& port : ports)
    rows.push_back({port.name, port.present ? type_text(port.dtype, port.shape) : "none",
                    port.held ? "held" : ""});
  std::fputs((table(rows) + "\n").c_str(), stdout);
}

void print_residents(const Engine& engine, bool all) {
  struct Sum {
    size_t count = 0, bytes = 0, absent = 0;
  };
  std::map<std::string, Sum> sums;
  Rows rows = {{"resident", "kind", "type", "bytes"}};
  for (const ResidentInfo& r : engine.residents()) {
    Sum& sum = sums[r.kind];
    ++sum.count;
    sum.bytes += r.bytes;
    sum.absent += !r.stored;
    rows.push_back({r.name, r.kind, type_text(r.dtype, r.shape),
                    r.stored ? bytes_text(r.bytes) : "not stored"});
  }
  Rows summary = {{"residents", "count", "bytes", "not stored"}};
  for (const auto& [kind, sum] : sums)
    summary.push_back({kind, std::to_string(sum.count), bytes_text(sum.bytes),
                       sum.absent ? std::to_string(sum.absent) : "-"});
  std::fputs((table(all ? rows : summary) + "\n").c_str(), stdout);
}

std::string shapes_text(const InputShapes& shapes) {
  std::string text;
  for (const auto& [name, shape] : shapes)
    text += (text.empty() ? "" : ", ") + name + " " + to_string(shape);
  return text;
}

void print_plan(const PlanInfo& plan, size_t number, bool all_steps) {
  std::map<std::string, size_t> counts;
  size_t prepare = 0;
  Rows rows = {{"#", "step", "by", "types", "scope"}};
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const StepInfo& step = plan.steps[i];
    prepare += step.prepare;
    ++counts[step.operation + " (" + step.implementation + ")"];
    rows.push_back({(step.prepare ? "held " : "") + std::to_string(i), step.operation,
                    step.implementation, step.types, step.scope});
  }
  std::printf(
      "plan %zu: %s -> %s\n  %zu steps in each run, %zu when a held input changes; "
      "%s of activations, %s held\n",
      number, shapes_text(plan.inputs).c_str(), shapes_text(plan.outputs).c_str(),
      plan.steps.size() - prepare, prepare, bytes_text(plan.activation_bytes).c_str(),
      bytes_text(plan.held_bytes).c_str());
  for (const auto& [name, count] : counts) std::printf("  %6zu  %s\n", count, name.c_str());
  if (all_steps) std::fputs(("\n" + table(rows)).c_str(), stdout);
}

int inspect(const Arguments& arguments) {
  if (arguments.words().size() != 1) throw UsageError("inspect: one FILE is wanted");
  const std::string& path = arguments.words()[0];
  const bool model = is_model(path);
  ProgressBar bar;
  BuildOptions build;
  build.weights_later = true;
  build.shapes = parse_shapes(arguments.values("--shape"));
  build.held = arguments.values("--hold");
  build.progress = bar.callback();
  LoadOptions load;
  load.weights = arguments.value("--weights");
  load.check = arguments.has("--check");
  load.progress = bar.callback();
  Engine engine = model ? Engine::build(path, build) : Engine::load(path, load);
  if (!model)
    for (const InputShapes& shapes : build.shapes) engine.plan(shapes);
  bar.clear();
  if (arguments.has("--graph") || arguments.has("--dot")) {
    const std::string text = arguments.has("--dot") ? engine.graph_dot() : engine.graph_text();
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
  }
  std::printf("%s: %zu operators\n\n", path.c_str(), engine.graph_nodes());
  print_ports("input", engine.inputs());
  print_ports("output", engine.outputs());
  print_residents(engine, arguments.has("--residents"));
  const std::vector<PlanInfo> plans = engine.plans();
  for (size_t i = 0; i < plans.size(); ++i) print_plan(plans[i], i, arguments.has("--steps"));
  if (plans.empty()) std::printf("no plans: shapes may vary; --shape makes some\n");
  if (load.check && !model) std::printf("all checksums are right\n");
  return 0;
}

}  // namespace

Command inspect_command() {
  return {
      "inspect",
      "inspect FILE [options]",
      "Shows what an engine file or a .pt2 model holds: graph, residents, plans, steps, memory.",
      "",
      {{"--graph", "", "the graph as text, and nothing else"},
       {"--dot", "", "the graph for Graphviz, and nothing else"},
       {"--residents", "", "every weight and state, not only their sums"},
       {"--steps", "", "every step, not only their numbers"},
       {"--shape", "NAME=2x77", "makes a plan for a shape that may vary", true},
       {"--hold", "NAME", "an input that rarely changes, for a .pt2 model", true},
       {"--weights", "PATH", "where the weights of a stripped engine are now"},
       {"--check", "", "reads all weights of an engine file and compares their checksums"}},
      inspect};
}

}  // namespace tutti::cli
