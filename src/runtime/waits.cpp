// SPDX-License-Identifier: Apache-2.0
#include "runtime/waits.h"

#include <algorithm>

#include "ops/collectives.h"
#include "plan/reach.h"

namespace tutti::runtime {
namespace {

bool overlap(const Operand& a, const Operand& b) {
  if (a.place != b.place || a.index != b.index) return false;
  const auto x = reach(a.dtype, a.shape, a.strides), y = reach(b.dtype, b.shape, b.strides);
  if (!x || !y) return true;
  return x->begin + a.offset < y->end + b.offset && y->begin + b.offset < x->end + a.offset;
}

bool any_overlap(const std::vector<Operand>& some, const std::vector<Operand>& others) {
  return std::any_of(some.begin(), some.end(), [&](const Operand& a) {
    return std::any_of(others.begin(), others.end(),
                       [&](const Operand& b) { return overlap(a, b); });
  });
}

bool conflict(const Step& running, const Step& next) {
  return any_overlap(running.out, next.in) || any_overlap(running.out, next.out) ||
         any_overlap(running.in, next.out);
}

}  // namespace

std::vector<std::vector<int32_t>> find_waits(const std::vector<Step>& steps) {
  std::vector<std::vector<int32_t>> waits(steps.size() + 1);
  std::vector<std::pair<int32_t, const Step*>> running;
  int32_t calls = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    std::erase_if(running, [&](const auto& call) {
      if (!conflict(*call.second, steps[i])) return false;
      waits[i].push_back(call.first);
      return true;
    });
    if (is_collective(steps[i].op)) running.emplace_back(calls++, &steps[i]);
  }
  for (const auto& [call, step] : running) waits[steps.size()].push_back(call);
  return waits;
}

}  // namespace tutti::runtime
