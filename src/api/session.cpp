// SPDX-License-Identifier: Apache-2.0
#include "tutti/session.h"

#include <algorithm>

#include "api/engine_state.h"
#include "api/plan_info.h"
#include "api/session_state.h"
#include "core/error.h"
#include "shard/mesh.h"

namespace tutti {

namespace {

// The program of one rank: only its plans.
std::shared_ptr<const Program> part_of(const std::shared_ptr<const Program>& whole, int rank) {
  if (whole->mesh.empty()) return whole;
  auto part = std::make_shared<Program>(*whole);
  std::erase_if(part->plans, [&](const Plan& plan) { return plan.rank != rank; });
  return part;
}

}  // namespace

Session::State::State(std::shared_ptr<const Program> program_, int threads_)
    : whole(std::move(program_)),
      threads(threads_),
      rank(whole->plans.empty() ? 0 : whole->plans[0].rank),
      session(std::make_unique<runtime::Session>(part_of(whole, rank), threads)) {
  const Program& program = session->program();
  const Function& run = function();
  for (ValueId id : run.inputs) {
    const Value& value = run.value(id);
    input_names.push_back(value.name);
    input_types.push_back(value.type);
    held.push_back(std::find(program.held.begin(), program.held.end(), value.name) !=
                   program.held.end());
  }
  shapes.resize(input_names.size());
  given.assign(program.plans.size(), std::vector<bool>(input_names.size()));
}

size_t Session::State::check_inputs(std::span<const Tensor> inputs) {
  require_argument(inputs.size() == input_names.size(), inputs.size(), " inputs given; ",
                   input_names.size(), " are wanted");
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& input = inputs[i];
    if (input.data == nullptr && held[i] && input.shape.empty() && !shapes[i].empty()) continue;
    const TensorType& type = input_types[i];
    const bool rank_fits = input.rank() == type.rank();
    if (input.dtype != type.dtype || !rank_fits) [[unlikely]]
      fail(Errc::invalid_argument, "input ", input_names[i], " is ",
           describe(input.dtype, input.shape), "; ", type, " is wanted");
    if (!input.is_contiguous()) [[unlikely]]
      fail(Errc::invalid_argument, "input ", input_names[i], " has strides ", input.strides,
           "; a contiguous tensor is wanted");
    shapes[i] = input.shape;
  }
  const size_t plan = session->find_plan(shapes);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].data == nullptr && !(held[i] && given[plan][i]) && inputs[i].elements() != 0)
        [[unlikely]]
      fail(Errc::invalid_argument, "input ", input_names[i], " has null data; ",
           describe(input_types[i].dtype, shapes[i]), " is wanted");
  return plan;
}

void Session::State::check_outputs(size_t plan, std::span<const Tensor> outputs) const {
  const std::vector<Port>& ports = session->program().plans[plan].outputs;
  require_argument(outputs.size() == ports.size(), outputs.size(), " outputs given; ", ports.size(),
                   " are wanted");
  for (size_t i = 0; i < ports.size(); ++i) {
    if (!ports[i].present) continue;
    const Tensor& output = outputs[i];
    if (output.dtype != ports[i].dtype || !(output.shape == ports[i].shape)) [[unlikely]]
      fail(Errc::invalid_argument, "output ", ports[i].name, " is ",
           describe(output.dtype, output.shape), "; ", describe(ports[i].dtype, ports[i].shape),
           " is wanted");
    if (!output.is_contiguous()) [[unlikely]]
      fail(Errc::invalid_argument, "output ", ports[i].name, " has strides ", output.strides,
           "; a contiguous tensor is wanted");
    if (output.data == nullptr && output.elements() != 0) [[unlikely]]
      fail(Errc::invalid_argument, "output ", ports[i].name, " has null data; ",
           describe(ports[i].dtype, ports[i].shape), " is wanted");
  }
}

std::vector<Tensor> Session::State::in_order(const TensorMap& inputs) const {
  for (const auto& [name, tensor] : inputs)
    require_argument(std::find(input_names.begin(), input_names.end(), name) != input_names.end(),
                     "input ", name, " is not known; wanted: ", join_list(input_names));
  std::vector<Tensor> ordered;
  std::vector<std::string> missing;
  for (size_t i = 0; i < input_names.size(); ++i) {
    const auto found = inputs.find(input_names[i]);
    if (found != inputs.end())
      ordered.push_back(found->second);
    else if (held[i] && std::any_of(given.begin(), given.end(), [&](auto& g) { return g[i]; }))
      ordered.emplace_back();
    else
      missing.push_back(join(input_names[i], " ", input_types[i]));
  }
  require_argument(missing.empty(), "missing inputs: ", join_list(missing));
  return ordered;
}

std::vector<Tensor> Session::State::new_outputs(size_t plan) const {
  std::vector<Tensor> outputs;
  for (const Port& port : session->program().plans[plan].outputs)
    outputs.push_back(port.present ? Tensor::zeros(port.dtype, port.shape) : Tensor{});
  return outputs;
}

TensorMap Session::State::named(size_t plan, const std::vector<Tensor>& outputs) const {
  const std::vector<Port>& ports = session->program().plans[plan].outputs;
  TensorMap map;
  for (size_t i = 0; i < ports.size(); ++i)
    if (ports[i].present) map[ports[i].name] = outputs[i];
  return map;
}

void Session::State::note_given(size_t plan, std::span<const Tensor> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].data != nullptr) given[plan][i] = true;
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

TensorMap Session::run(const TensorMap& inputs) {
  const std::vector<Tensor> ordered = state_->in_order(inputs);
  const size_t plan = state_->check_inputs(ordered);
  const std::vector<Tensor> outputs = state_->new_outputs(plan);
  state_->session->run(plan, ordered, outputs);
  state_->note_given(plan, ordered);
  return state_->named(plan, outputs);
}

void Session::run(std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
  const size_t plan = state_->check_inputs(inputs);
  state_->check_outputs(plan, outputs);
  state_->session->run(plan, inputs, outputs);
  state_->note_given(plan, inputs);
}

std::vector<Tensor> Session::make_outputs(std::span<const Tensor> inputs) const {
  return state_->new_outputs(state_->check_inputs(inputs));
}

Profile Session::profile(const TensorMap& inputs) {
  const std::vector<Tensor> ordered = state_->in_order(inputs);
  const size_t plan = state_->check_inputs(ordered);
  const std::vector<Tensor> outputs = state_->new_outputs(plan);
  std::vector<runtime::StepTime> times;
  state_->session->profile(plan, ordered, outputs, times);
  state_->note_given(plan, ordered);
  Profile profile{state_->named(plan, outputs), {}};
  const std::vector<Step>& run = state_->session->program().plans[plan].run;
  for (const runtime::StepTime& time : times) {
    const bool prepare = time.step < run.data() || time.step >= run.data() + run.size();
    profile.steps.push_back({step_info(*time.step, prepare, state_->rank), 1e3 * time.start,
                             1e3 * (time.end - time.start), 1e3 * time.waited});
  }
  return profile;
}

void Session::State::become(int wanted, int ranks) {
  if (whole->mesh.empty()) return;
  const int size = shard::Mesh::parse(whole->mesh).size();
  require_argument(ranks == size, "the engine is made for ", size, " ranks (", whole->mesh,
                   "), and is bound to ", ranks);
  const auto part = part_of(whole, wanted);
  require_argument(!part->plans.empty() || whole->plans.empty(), "the engine has no plan for rank ",
                   wanted, " of mesh ", whole->mesh);
  if (wanted == rank) return;
  session = std::make_unique<runtime::Session>(part, threads);
  given.assign(part->plans.size(), std::vector<bool>(input_names.size()));
  rank = wanted;
}

void Session::bind(Communicator& communicator, const RankGroups& groups, double build_deadline_s) {
  state_->become(communicator.rank(), communicator.size());
  RankGroups named = groups;
  const shard::Mesh mesh = shard::Mesh::parse(state_->whole->mesh);
  for (const shard::Mesh::Axis& axis : mesh.axes())
    named.try_emplace(axis.name, mesh.group(communicator.rank(), mesh.axis(axis.name)));
  state_->session->bind(communicator, named, build_deadline_s);
}

void Session::unbind() { state_->session->unbind(); }
bool Session::bound() const { return state_->session->bound(); }
uint64_t Session::bytes_sent() const { return state_->session->bytes_sent(); }
std::string Session::history() const { return state_->session->history(); }

Tensor Session::read(std::string_view resident) const {
  const Tensor own = state_->session->carried(resident);
  const Program& program = state_->session->program();
  const ResidentId id = program.graph.find_resident(resident);
  const auto state = program.states.find(id);
  require(state == program.states.end() || state->second.is_whole(), Errc::unsupported, "state ",
          resident, " is split over ranks of ", program.mesh, ": this one has ",
          describe(own.dtype, own.shape), " of ",
          program.graph.residents[static_cast<size_t>(id)].type,
          "; wanted: state that is whole, or an output that gives it");
  return contiguous(own);
}

void Session::reset(std::string_view resident) {
  require_argument(!resident.empty(), "reset: a name is wanted");
  state_->session->reset(resident);
}

void Session::reset() { state_->session->reset(); }

size_t Session::bytes() const { return state_->session->bytes(); }

}  // namespace tutti
