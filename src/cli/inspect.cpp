// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <fstream>
#include <map>

#include "cli/arguments.h"
#include "cli/mesh_options.h"
#include "cli/parallel.h"
#include "cli/plan_picture.h"
#include "cli/plan_tables.h"
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

Engine open(const Arguments& arguments, bool model) {
  const std::string& path = arguments.words()[0];
  ProgressBar bar;
  BuildOptions build;
  build.weights_later = true;
  build.shapes = parse_shapes(arguments.values("--shape"));
  build.held = arguments.values("--hold");
  build.progress = bar.callback();
  if (!model) refuse_mesh_options(arguments);
  if (read_mesh(arguments, build) != 0) build.rank = arguments.number("--rank", -1, 0);
  LoadOptions load;
  load.weights = arguments.value("--weights");
  load.check = arguments.has("--check");
  load.progress = bar.callback();
  Engine engine = model ? Engine::build(path, build) : Engine::load(path, load);
  if (!model)
    for (const InputShapes& shapes : build.shapes) engine.plan(shapes);
  bar.clear();
  return engine;
}

std::string title_of(const Engine& engine, const std::string& context) {
  if (engine.mesh().empty()) return "one rank";
  return "mesh " + engine.mesh() + (context.empty() ? "" : ", " + context);
}

void draw(const std::vector<PlanInfo>& ranks, const std::string& title, const std::string& path) {
  std::ofstream file(path);
  file << svg(picture_of(ranks, title));
  if (!file.flush()) throw Error(Errc::io, path + ": cannot be written");
}

// Plans of one set of shapes after the other, each of the rank that is asked for or the first.
void print_plans(const Engine& engine, const Arguments& arguments) {
  const std::vector<PlanInfo> plans = engine.plans();
  const int wanted = arguments.number("--rank", -1, 0);
  size_t number = 0;
  for (size_t i = 0, next = 0; i < plans.size(); i = next, ++number) {
    while (next < plans.size() && plans[next].inputs == plans[i].inputs) ++next;
    const std::vector<PlanInfo> ranks(plans.begin() + static_cast<std::ptrdiff_t>(i),
                                      plans.begin() + static_cast<std::ptrdiff_t>(next));
    const PlanInfo* shown = wanted < 0 ? &ranks[0] : nullptr;
    for (const PlanInfo& plan : ranks)
      if (plan.rank == wanted) shown = &plan;
    if (shown == nullptr)
      throw UsageError("there is no plan for rank " + std::to_string(wanted) + "; the mesh is " +
                       (engine.mesh().empty() ? "one rank" : engine.mesh()));
    print_plan(*shown, number, arguments.has("--steps"));
    if (ranks.size() > 1 || !engine.mesh().empty())
      std::printf(
          "\nmesh %s%s, in each run:\n%s\nrank %d:\n%s", engine.mesh().c_str(),
          has_requests(engine.mesh()) ? ", ranks along request with inputs of their own" : "",
          ranks_table(ranks).c_str(), shown->rank,
          collectives_table(*shown, arguments.has("--collectives")).c_str());
    if (arguments.has("--svg"))
      draw(ranks, title_of(engine, arguments.value("--cp")), arguments.value("--svg"));
    if (arguments.has("--placements"))
      std::fputs(("\n" + placements_table(engine.placements(i))).c_str(), stdout);
  }
  if (plans.empty()) std::printf("no plans: shapes may vary; --shape makes some\n");
}

// How a value came to its placement, in the first plan.
int print_why(const Engine& engine, const std::string& value) {
  if (engine.mesh().empty()) throw UsageError("option --why wants a mesh; --mesh gives one");
  for (const PlacementInfo& p : engine.placements(0, value)) {
    std::printf("%s %s, by %s%s: %s\n", p.value.c_str(), p.type.c_str(), p.operation.c_str(),
                p.scope.empty() ? "" : (" (" + p.scope + ")").c_str(), p.placement.c_str());
    for (const std::string& line : p.why) std::printf("%s\n", line.c_str());
  }
  return 0;
}

int inspect(const Arguments& given) {
  if (given.words().size() != 1) throw UsageError("inspect: one FILE is wanted");
  const Arguments arguments = with_judged_mesh(given, inspect_command());
  const std::string& path = arguments.words()[0];
  const bool model = is_model(path);
  const Engine engine = open(arguments, model);
  if (arguments.has("--why")) return print_why(engine, arguments.value("--why"));
  if (arguments.has("--graph") || arguments.has("--dot")) {
    const std::string text = arguments.has("--dot") ? engine.graph_dot() : engine.graph_text();
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
  }
  std::printf("%s: %zu operators\n\n", path.c_str(), engine.graph_nodes());
  print_ports("input", engine.inputs());
  print_ports("output", engine.outputs());
  print_residents(engine, arguments.has("--residents"));
  print_plans(engine, arguments);
  if (arguments.has("--check") && !model) std::printf("all checksums are right\n");
  return 0;
}

}  // namespace

Command inspect_command() {
  return {
      "inspect",
      "inspect FILE [options]",
      "Shows what an engine file or a .pt2 model holds: graph, residents, plans, steps, memory.",
      "With a mesh: what each rank computes, keeps and sends, and where values are.",
      with_parallel_options(with_mesh_options(
          {{"--graph", "", "the graph as text, and nothing else"},
           {"--dot", "", "the graph for Graphviz, and nothing else"},
           {"--residents", "", "every weight and state, not only their sums"},
           {"--steps", "", "every step, not only their numbers"},
           {"--rank", "R", "whose plan is shown, of a mesh; 0 when not given"},
           {"--collectives", "", "every collective of that rank, not only their sums"},
           {"--placements", "", "where every value is on the ranks of the mesh"},
           {"--svg", "FILE", "draws what ranks compute and send in a run, in its order"},
           {"--why", "VALUE", "how that value of the graph came to where it is, and nothing else"},
           {"-n", "N", "with --parallel: so many ranks"},
           {"--shape", "NAME=2x77", "makes a plan for a shape that may vary", true},
           {"--hold", "NAME", "an input that rarely changes, for a .pt2 model", true},
           {"--weights", "PATH", "where the weights of a stripped engine are now"},
           {"--check", "", "reads all weights of an engine file and compares their checksums"}})),
      inspect};
}

}  // namespace tutti::cli
