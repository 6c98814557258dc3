// SPDX-License-Identifier: Apache-2.0
#include "tutti/engine.h"

#include <algorithm>
#include <set>

#include "api/engine_state.h"
#include "api/network.h"
#include "api/plan_info.h"
#include "api/session_state.h"
#include "core/error.h"
#include "core/log.h"
#include "device/cpu/pool.h"
#include "import/pt2.h"
#include "import/weights.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "shard/shard.h"

namespace tutti {
namespace {

void report(const ProgressCallback& progress, std::string_view what, double done) {
  if (progress) progress(what, done);
}

void bind(Program& program, const BuildOptions& options) {
  if (!options.weights.empty()) {
    report(options.progress, "binding weights", 0.2);
    const auto source = open_weights(options.weights);
    const BoundWeights bound = bind_weights(program.graph, *source, options.weights_dtype);
    log(LogLevel::info, source->path(), ": ", bound.bound, " weights bound, ", bound.converted,
        " converted, ", bound.unused, " unused");
    return;
  }
  const auto missing = missing_weights(program);
  if (options.weights_later || missing.empty()) return;
  const size_t shown = std::min<size_t>(missing.size(), 5);
  fail(Errc::not_found, missing.size(), " weights have no bytes (",
       join_list(std::vector<std::string>(missing.begin(), missing.begin() + shown)),
       shown < missing.size() ? ", ..." : "", "); a file or folder that holds them is wanted");
}

// Compiles for the shapes and each rank unless that was done; true when it was not.
bool add_plans(Program& program, const InputShapes& given, const CompileOptions& options,
               const std::vector<int>& ranks) {
  const std::vector<Dims> shapes = complete_shapes(program.graph, given);
  const SymbolValues symbols = bind_symbols(program.graph, program.graph.function("run"), shapes);
  for (const Plan& plan : program.plans)
    if (plan.symbols == symbols) return false;
  for (Plan& plan : compile_plans(program, symbols, options, ranks))
    program.plans.push_back(std::move(plan));
  return true;
}

// Throws for a mesh that is none; one rank needs none.
std::vector<int> set_mesh(Program& program, const BuildOptions& options) {
  const int size = mesh_size(options.mesh, options.context);
  require_argument(options.rank >= -1 && options.rank < size, "rank ", options.rank, " of mesh ",
                   options.mesh, "; -1 to ", size - 1, " is wanted");
  require_argument(!options.per_rank_inputs || shard::Mesh::parse(options.mesh).has("dp"),
                   "per_rank_inputs with mesh ", options.mesh.empty() ? "none" : options.mesh,
                   "; an axis dp is wanted");
  if (size == 1) return {0};
  std::vector<shard::Mesh::Axis> axes = shard::Mesh::parse(options.mesh).axes();
  // Axes that no strategy knows leave the network as it is.
  for (shard::Mesh::Axis& axis : axes)
    if (options.per_rank_inputs && axis.name == "dp") axis.name = "request";
  program.mesh = shard::Mesh(std::move(axes)).text();
  program.context = options.context;
  return options.rank >= 0 ? std::vector<int>{options.rank} : planned_ranks(program);
}

bool is_static(const Graph& graph) {
  const Function& run = graph.function("run");
  for (ValueId id : run.inputs)
    for (const Dim& dim : run.type(id).shape)
      if (!dim.is_constant()) return false;
  return true;
}

}  // namespace

int mesh_size(const std::string& mesh, const std::string& context) {
  return shard::ways_of({shard::Mesh::parse(mesh), context}).mesh.size();
}

void check_held(const Graph& graph, const std::vector<std::string>& held) {
  const Function& run = graph.function("run");
  std::vector<std::string> names;
  for (ValueId id : run.inputs) names.push_back(run.value(id).name);
  for (const std::string& name : held)
    require(std::find(names.begin(), names.end(), name) != names.end(), Errc::not_found,
            "held input ", name, " is not known; nearest: ", join_list(nearest_names(name, names)));
}

std::vector<int> planned_ranks(const Program& program) {
  if (program.mesh.empty()) return {0};
  const int size = mesh_size(program.mesh, program.context);
  std::set<int> ranks;
  for (const Plan& plan : program.plans) {
    require_argument(plan.rank < size, "a plan is for rank ", plan.rank, "; mesh ", program.mesh,
                     " has ", size, " ranks");
    ranks.insert(plan.rank);
  }
  if (ranks.empty())
    for (int r = 0; r < size; ++r) ranks.insert(r);
  return {ranks.begin(), ranks.end()};
}

std::vector<Dims> complete_shapes(const Graph& graph, const InputShapes& given,
                                  const SymbolValues& example) {
  const Function& run = graph.function("run");
  std::vector<std::string> names;
  for (ValueId id : run.inputs) names.push_back(run.value(id).name);
  SymbolValues symbols;
  for (const auto& [name, shape] : given) {
    const auto found = std::find(names.begin(), names.end(), name);
    require(found != names.end(), Errc::not_found, "input ", name,
            " is not known; nearest: ", join_list(nearest_names(name, names)));
    const Shape& wanted = run.type(run.inputs[static_cast<size_t>(found - names.begin())]).shape;
    require_argument(shape.rank() == static_cast<int>(wanted.size()), "input ", name, " is ", shape,
                     "; ", wanted, " is wanted");
    for (int axis = 0; axis < shape.rank(); ++axis)
      if (const auto symbol = wanted[static_cast<size_t>(axis)].as_symbol())
        symbols.emplace(*symbol, shape[axis]);
  }
  symbols.insert(example.begin(), example.end());
  std::vector<Dims> shapes;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto found = std::find_if(given.begin(), given.end(),
                                    [&](const auto& entry) { return entry.first == names[i]; });
    if (found != given.end()) {
      shapes.push_back(found->second);
      continue;
    }
    const TensorType& type = run.type(run.inputs[i]);
    Dims& shape = shapes.emplace_back();
    for (const Dim& dim : type.shape) {
      std::set<std::string> needed;
      dim.collect_symbols(needed);
      for (const std::string& symbol : needed)
        require_argument(symbols.contains(symbol), "no shape is given for input ", names[i], " (",
                         type, "), and ", symbol, " follows from no other");
      shape.push_back(dim.evaluate(symbols));
    }
  }
  return shapes;
}

Engine::Engine(std::shared_ptr<State> state) : state_(std::move(state)) {}

Engine Engine::compile(std::shared_ptr<Program> program, const BuildOptions& options) {
  Graph& graph = program->graph;
  watch(graph, options.watch);
  verify(graph);
  check_held(graph, options.held);
  bind(*program, options);
  auto state = std::make_shared<State>();
  const int threads = options.threads > 0 ? options.threads : cpu::usable_cores();
  state->options = {options.fuse, options.matmul, threads, options.held};
  state->ranks = set_mesh(*program, options);
  program->held = options.held;
  std::vector<InputShapes> shapes = options.shapes;
  if (shapes.empty() && is_static(graph)) shapes.emplace_back();
  for (size_t i = 0; i < shapes.size(); ++i) {
    report(options.progress, join("compiling plan ", i + 1, " of ", shapes.size()),
           0.3 + 0.5 * static_cast<double>(i) / static_cast<double>(shapes.size()));
    add_plans(*program, shapes[i], state->options, state->ranks);
  }
  if (missing_weights(*program).empty()) {
    report(options.progress, "packing weights", 0.8);
    compute_derived(*program);
  }
  report(options.progress, "ready", 1);
  state->program = std::move(program);
  return Engine(std::move(state));
}

Engine Engine::build(const GraphBuilder& graph, const BuildOptions& options) {
  auto program = std::make_shared<Program>();
  program->graph = graph.network_->graph;
  return compile(std::move(program), options);
}

Engine Engine::build(const std::string& model_path, const BuildOptions& options) {
  require_argument(model_path.ends_with(".pt2"), model_path,
                   ": a .pt2 file of torch.export.save is wanted");
  report(options.progress, "reading " + model_path, 0);
  ImportReport imported;
  auto program = std::make_shared<Program>();
  program->graph = import_pt2(model_path, {.report = &imported});
  if (imported.unused != 0)
    log(LogLevel::info, model_path, ": ", imported.unused, " unused weights dropped");
  return compile(std::move(program), options);
}

void Engine::plan(const InputShapes& shapes) {
  const std::lock_guard lock(state_->mutex);
  auto program = std::make_shared<Program>(*state_->program);
  if (!add_plans(*program, shapes, state_->options, state_->ranks)) return;
  if (missing_weights(*program).empty()) compute_derived(*program);
  state_->program = std::move(program);
}

bool Engine::planned(const InputShapes& shapes) const {
  const auto program = state_->current();
  const SymbolValues symbols = bind_symbols(program->graph, program->graph.function("run"),
                                            complete_shapes(program->graph, shapes));
  return std::any_of(program->plans.begin(), program->plans.end(),
                     [&](const Plan& plan) { return plan.symbols == symbols; });
}

Session Engine::session(int threads) const {
  require_argument(threads >= 0, "threads is ", threads, "; 0 or more is wanted");
  return Session(std::make_unique<Session::State>(state_->current(),
                                                  threads > 0 ? threads : cpu::usable_cores()));
}

std::string Engine::mesh() const { return state_->current()->mesh; }

std::vector<PortInfo> Engine::inputs() const {
  const auto program = state_->current();
  const Function& run = program->graph.function("run");
  std::vector<PortInfo> list;
  for (ValueId id : run.inputs) {
    const Value& value = run.value(id);
    const auto& held = program->held;
    list.push_back({value.name, value.type.dtype, to_extents(value.type.shape),
                    std::find(held.begin(), held.end(), value.name) != held.end(), true});
  }
  return list;
}

std::vector<PortInfo> Engine::outputs() const {
  const auto program = state_->current();
  const Function& run = program->graph.function("run");
  std::vector<PortInfo> list;
  for (const Output& output : run.outputs) {
    PortInfo& info = list.emplace_back();
    info.name = output.name;
    info.present = output.value != kNone;
    if (!info.present) continue;
    info.dtype = run.type(output.value).dtype;
    info.shape = to_extents(run.type(output.value).shape);
  }
  return list;
}

std::vector<ResidentInfo> Engine::residents() const {
  const auto program = state_->current();
  const std::vector<std::string> missing = missing_weights(*program);
  std::vector<ResidentInfo> list;
  for (const Resident& resident : program->graph.residents) {
    const bool absent = std::find(missing.begin(), missing.end(), resident.name) != missing.end();
    // Weights whose derived forms alone are kept have no bytes and miss none.
    const bool dropped = resident.kind == Resident::Kind::bound && !resident.data.data && !absent;
    const Dim count = dropped ? Dim(0) : elements(resident.type.shape);
    const size_t bytes =
        count.is_constant() ? static_cast<size_t>(count.value()) * size_of(resident.type.dtype) : 0;
    list.push_back({resident.name, resident.type.dtype, to_extents(resident.type.shape),
                    std::string(to_string(resident.kind)), bytes, !absent});
  }
  return list;
}

std::vector<PlanInfo> Engine::plans() const {
  const auto program = state_->current();
  std::vector<PlanInfo> list;
  for (const Plan& plan : program->plans) list.push_back(plan_info(*program, plan));
  return list;
}

std::string Engine::graph_text() const { return print_graph(state_->current()->graph, 100); }

std::string Engine::graph_dot() const {
  const auto program = state_->current();
  return to_dot(program->graph, program->graph.function("run"));
}

size_t Engine::graph_nodes() const { return state_->current()->graph.function("run").nodes.size(); }

}  // namespace tutti
