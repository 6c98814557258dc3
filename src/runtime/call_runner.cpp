// SPDX-License-Identifier: Apache-2.0
#include "runtime/call_runner.h"

#include <algorithm>
#include <cstring>

#include "comm/collective.h"
#include "core/error.h"
#include "runtime/waits.h"

namespace tutti::runtime {
namespace {

void fill_zero(std::span<const Tensor> out) {
  for (const Tensor& t : out) std::memset(t.data, 0, t.bytes());
}

}  // namespace

CallRunner::CallRunner(const Plan& plan) {
  int32_t calls = 0;
  bool any = false;
  for (const Step& step : plan.run) {
    const bool call = is_collective(step.op);
    any = any || runs_on_ranks(step.op);
    call_of_step_.push_back(call ? calls++ : kNone);
  }
  if (!any) call_of_step_.clear();
  if (any) waits_ = find_waits(plan.run);
  running_.resize(static_cast<size_t>(calls));
}

void CallRunner::bind(Binding& binding, size_t plan) {
  binding_ = &binding;
  calls_ = &binding.calls(plan);
}

void CallRunner::unbind() {
  binding_ = nullptr;
  calls_ = nullptr;
}

void CallRunner::wait_before(size_t step) {
  for (const int32_t c : waits_[step]) {
    const auto call = static_cast<size_t>(c);
    if (!running_[call].started) continue;
    running_[call].started = false;
    (*calls_)[call].group->wait(running_[call].request);
  }
}

void CallRunner::start(size_t step, std::span<const Tensor> in, std::span<const Tensor> out) {
  const auto c = call_of_step_[step];
  const auto call = static_cast<size_t>(c);
  const Binding::Call& bound = (*calls_)[call];
  if (bound.alone) return run_alone(in, out);
  if (bound.group == nullptr) return fill_zero(out);
  Communicator& group = *bound.group;
  if (comm::out_elements(bound.what, group.rank(), group.size()) == 0) fill_zero(out);
  const void* from = in.empty() ? nullptr : in[0].data;
  void* to = out.empty() ? nullptr : out[0].data;
  const std::vector<int32_t>& next = waits_[step + 1];
  if (std::find(next.begin(), next.end(), c) != next.end()) {
    group.run(bound.what, from, to);
    return;
  }
  running_[call].request = group.start(bound.what, from, to);
  running_[call].started = true;
}

void CallRunner::run_alone(std::span<const Tensor> in, std::span<const Tensor> out) const {
  if (!in.empty() && !out.empty()) std::memcpy(out[0].data, in[0].data, out[0].bytes());
}

void CallRunner::abandon(const std::string& reason) noexcept {
  if (binding_ == nullptr) return;
  binding_->abort_groups(reason);
  for (size_t call = 0; call < running_.size(); ++call) {
    if (!running_[call].started) continue;
    running_[call].started = false;
    try {
      (*calls_)[call].group->wait(running_[call].request);
    } catch (const Error&) {
      // The error that the caller is about to see came first.
    }
  }
}

}  // namespace tutti::runtime
