// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include <chrono>
#include <cstring>

#include "core/error.h"
#include "core/log.h"
#include "ops/implementation.h"
#include "runtime/call_runner.h"

namespace tutti::runtime {
namespace {

// A step with its kernel made ready and its operands as tensors.
struct ReadyStep {
  const Step* step = nullptr;
  std::unique_ptr<Kernel> kernel;         // null for a collective, and for `rank`
  const RankInGroup* position = nullptr;  // of `rank`
  std::vector<Tensor> in, out;
};

// An operand whose memory the caller gives anew at each run.
struct Patch {
  Tensor* operand;
  int32_t index;
  int64_t offset;
};

char* at(const Tensor& memory, int64_t offset) { return memory.as<char>() + offset; }

void require_bound(const Plan& plan, bool bound) {
  if (bound) return;
  size_t count = 0;
  std::string first;
  for (const Step& step : plan.run) {
    if (!runs_on_ranks(step.op)) continue;
    if (count++ == 0) first = join(step.op.name(), step.scope.empty() ? "" : " " + step.scope);
  }
  fail(Errc::invalid_argument, "the network has ", count, " collectives (first: ", first,
       ") and the session is not bound to ranks; wanted: bind before run");
}

// How this rank's part of state starts.
Tensor initial_state(const Program& program, size_t index) {
  const auto id = static_cast<ResidentId>(index);
  const int rank = program.plans.empty() ? 0 : program.plans[0].rank;
  const Tensor& whole = program.graph.residents[index].data;
  const auto state = program.states.find(id);
  if (whole.data != nullptr)
    return state == program.states.end() ? contiguous(whole)
                                         : local_part(state->second, whole, rank);
  const TensorType type = local_type(program, id, rank);
  return Tensor::zeros(type.dtype, constant_dims(type.shape));
}

}  // namespace

// A plan made ready.
struct Session::Runner {
  const Plan* plan;
  std::vector<ReadyStep> prepare, run;
  std::vector<Patch> inputs, outputs;
  Tensor held;                      // memory of what `prepare` computes
  std::vector<Tensor> held_inputs;  // own copies, by input; null for inputs that are not held
  bool prepared = false;
  CallRunner calls;

  explicit Runner(const Plan& p)
      : plan(&p), held(Tensor::zeros(DType::u8, {p.held_bytes})), calls(p) {
    for (const Port& port : plan->inputs)
      held_inputs.push_back(port.held ? Tensor::zeros(port.dtype, port.shape) : Tensor{});
  }

  // The operand as a tensor; without data where the caller gives the memory.
  Tensor tensor(const Operand& operand, const Tensor& arena, std::span<const Tensor> residents) {
    Tensor t{nullptr, operand.dtype, operand.shape, operand.strides, nullptr};
    const auto index = static_cast<size_t>(operand.index);
    switch (operand.place) {
      case Place::arena:
        t.data = at(arena, operand.offset);
        break;
      case Place::held:
        t.data = at(held, operand.offset);
        break;
      case Place::resident:
        t.data = at(residents[index], operand.offset);
        break;
      case Place::constant:
        t.data = at(plan->constants[index], operand.offset);
        break;
      case Place::input:
        if (plan->inputs[index].held) t.data = at(held_inputs[index], operand.offset);
        break;
      case Place::output:
        break;
    }
    return t;
  }

  void add_patch(const Operand& operand, Tensor& target) {
    const auto index = static_cast<size_t>(operand.index);
    if (operand.place == Place::input && !plan->inputs[index].held)
      inputs.push_back({&target, operand.index, operand.offset});
    if (operand.place == Place::output) outputs.push_back({&target, operand.index, operand.offset});
  }

  // Copies held inputs that changed; true when `prepare` must run.
  bool store_held(std::span<const Tensor> given) {
    bool changed = !prepared;
    for (size_t i = 0; i < given.size(); ++i) {
      Tensor& own = held_inputs[i];
      if (own.data == nullptr || given[i].data == nullptr) continue;
      if (prepared && std::memcmp(own.data, given[i].data, own.bytes()) == 0) continue;
      std::memcpy(own.data, given[i].data, own.bytes());
      changed = true;
    }
    return changed;
  }
};

Session::~Session() = default;

Session::Session(std::shared_ptr<const Program> program, int threads)
    : program_(std::move(program)), pool_(threads) {
  make_residents();
  int64_t arena = 0;
  for (const Plan& plan : program_->plans) arena = std::max(arena, plan.arena_bytes);
  arena_ = Tensor::zeros(DType::u8, {arena});
  size_t workspace = 0;
  for (const Plan& plan : program_->plans) make_runner(plan, workspace);
  workspace_ = Tensor::zeros(DType::u8, {static_cast<int64_t>(workspace)});
}

void Session::make_residents() {
  for (size_t i = 0; i < program_->graph.residents.size(); ++i) {
    const Resident& resident = program_->graph.residents[i];
    residents_.push_back(resident.kind == Resident::Kind::carried ? initial_state(*program_, i)
                                                                  : resident.data);
  }
  for (const Plan& plan : program_->plans)
    for (const auto* steps : {&plan.prepare, &plan.run})
      for (const Step& step : *steps)
        for (const Operand& operand : step.in) {
          if (operand.place != Place::resident) continue;
          const auto index = static_cast<size_t>(operand.index);
          require(residents_[index].data != nullptr || elements(operand.shape) == 0,
                  Errc::not_found, "weight ", program_->graph.residents[index].name,
                  " has no bytes; give them by name when building");
        }
}

void Session::make_runner(const Plan& plan, size_t& workspace_bytes) {
  auto runner = std::make_unique<Runner>(plan);
  std::vector<std::string> replaced;
  auto make_ready = [&](const std::vector<Step>& steps, std::vector<ReadyStep>& ready) {
    ready.reserve(steps.size());
    for (const Step& step : steps) {
      ReadyStep& r = ready.emplace_back();
      r.step = &step;
      for (const Operand& operand : step.in)
        r.in.push_back(runner->tensor(operand, arena_, residents_));
      for (const Operand& operand : step.out)
        r.out.push_back(runner->tensor(operand, arena_, residents_));
      r.position = step.op.as<RankInGroup>();
      if (r.position == nullptr && !is_collective(step.op)) {
        auto [kernel, name] =
            prepare_kernel({step.op, r.in, r.out, pool_.threads()}, step.implementation);
        if (name != step.implementation) replaced.push_back(step.implementation);
        r.kernel = std::move(kernel);
        workspace_bytes = std::max(workspace_bytes, r.kernel->workspace());
      }
      for (size_t i = 0; i < r.in.size(); ++i) runner->add_patch(step.in[i], r.in[i]);
      for (size_t i = 0; i < r.out.size(); ++i) runner->add_patch(step.out[i], r.out[i]);
    }
  };
  make_ready(plan.prepare, runner->prepare);
  make_ready(plan.run, runner->run);
  if (!replaced.empty())
    log(LogLevel::warning, replaced.size(), " steps want an implementation (", replaced[0],
        ") that does not take them on this machine; others take their place");
  runners_.push_back(std::move(runner));
}

size_t Session::find_plan(std::span<const Dims> shapes) const {
  for (size_t p = 0; p < program_->plans.size(); ++p) {
    const std::vector<Port>& inputs = program_->plans[p].inputs;
    bool same = inputs.size() == shapes.size();
    for (size_t i = 0; same && i < inputs.size(); ++i) same = inputs[i].shape == shapes[i];
    if (same) return p;
  }
  std::string planned;
  for (const Plan& plan : program_->plans) {
    planned += planned.empty() ? "" : "; ";
    for (size_t i = 0; i < plan.inputs.size(); ++i)
      planned += join(i ? ", " : "", plan.inputs[i].name, " ", plan.inputs[i].shape);
  }
  std::vector<std::string> found;
  for (const Dims& shape : shapes) found.push_back(to_string(shape));
  fail(Errc::invalid_argument, "no plan for input shapes ", join_list(found),
       "; planned: ", planned.empty() ? "none" : planned);
}

bool Session::begin(Runner& runner, std::span<const Tensor> inputs,
                    std::span<const Tensor> outputs) {
  for (const Patch& patch : runner.inputs)
    patch.operand->data = at(inputs[static_cast<size_t>(patch.index)], patch.offset);
  for (const Patch& patch : runner.outputs)
    patch.operand->data = at(outputs[static_cast<size_t>(patch.index)], patch.offset);
  return runner.store_held(inputs);
}

// Goes through the steps of a run; the observer is told of each (step, start, end, waited).
template <class Observer>
void Session::walk(Runner& runner, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
                   const Observer& observer) {
  CallRunner& calls = runner.calls;
  const bool ranks = calls.needs_ranks();
  if (ranks) require_bound(*runner.plan, calls.bound());
  try {
    if (begin(runner, inputs, outputs)) {
      runner.prepared = false;  // until all of it has run
      for (ReadyStep& step : runner.prepare)
        observer(
            step, [&] {},
            [&] {
              step.kernel->run({step.in, step.out, workspace_.data, pool_});
            });
      runner.prepared = true;
    }
    for (size_t i = 0; i < runner.run.size(); ++i) {
      ReadyStep& step = runner.run[i];
      const auto wait = [&] {
        if (ranks) calls.wait_before(i);
      };
      observer(step, wait, [&] {
        if (step.kernel) [[likely]]
          step.kernel->run({step.in, step.out, workspace_.data, pool_});
        else if (step.position != nullptr)
          *step.out[0].as<int64_t>() = calls.position(*step.position);
        else
          calls.start(i, step.in, step.out);
      });
    }
    if (ranks) calls.wait_before(runner.run.size());
  } catch (const std::exception& error) {
    calls.abandon(error.what());
    throw;
  }
}

void Session::run(size_t plan, std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
  walk(*runners_[plan], inputs, outputs, [](const ReadyStep&, const auto& wait, const auto& work) {
    wait();
    work();
  });
}

void Session::profile(size_t plan, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
                      std::vector<StepTime>& times) {
  using Clock = std::chrono::steady_clock;
  times.clear();
  const auto origin = Clock::now();
  auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - origin).count(); };
  walk(*runners_[plan], inputs, outputs,
       [&](const ReadyStep& step, const auto& wait, const auto& work) {
         const double came = seconds();
         wait();
         const double start = seconds();
         work();
         times.push_back({step.step, start, seconds(), start - came});
       });
}

void Session::bind(Communicator& communicator, const RankGroups& groups, double build_deadline_s) {
  unbind();
  binding_ = std::make_unique<Binding>(communicator, *program_, groups, build_deadline_s);
  for (size_t p = 0; p < runners_.size(); ++p) runners_[p]->calls.bind(*binding_, p);
}

void Session::unbind() {
  for (const auto& runner : runners_) runner->calls.unbind();
  binding_.reset();
}

Tensor Session::carried(std::string_view name) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < residents_.size(); ++i) {
    const Resident& resident = program_->graph.residents[i];
    if (resident.kind != Resident::Kind::carried) continue;
    if (resident.name == name) return residents_[i];
    names.push_back(resident.name);
  }
  fail(Errc::not_found, "state ", name, " is not known; nearest: ",
       names.empty() ? "there is none" : join_list(nearest_names(name, names)));
}

void Session::reset(std::string_view name) {
  if (!name.empty()) (void)carried(name);
  for (size_t i = 0; i < residents_.size(); ++i) {
    const Resident& resident = program_->graph.residents[i];
    if (resident.kind != Resident::Kind::carried || (!name.empty() && resident.name != name))
      continue;
    const Tensor start = initial_state(*program_, i);
    std::memcpy(residents_[i].data, start.data, start.bytes());
  }
}

size_t Session::bytes() const {
  size_t sum = arena_.bytes() + workspace_.bytes();
  for (size_t i = 0; i < residents_.size(); ++i)
    if (program_->graph.residents[i].kind == Resident::Kind::carried) sum += residents_[i].bytes();
  for (const auto& runner : runners_) {
    sum += runner->held.bytes();
    for (const Tensor& input : runner->held_inputs)
      if (input.data != nullptr) sum += input.bytes();
  }
  return sum;
}

}  // namespace tutti::runtime
