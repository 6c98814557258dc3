// SPDX-License-Identifier: Apache-2.0
#include "comm/shm/group.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "comm/shm/futex.h"
#include "core/error.h"
#include "device/cpu/pool.h"

namespace tutti::comm {
namespace {

constexpr int kSpins = 400;
constexpr int64_t kYieldNs = 200'000;
constexpr int64_t kSliceNs = 20'000'000;  // between looks at who is still there

bool reached(const std::atomic<uint32_t>& arrived, uint32_t step) {
  return static_cast<int32_t>(arrived.load(std::memory_order_acquire) - step) >= 0;
}

}  // namespace

Group::Group(Membership membership) : m_(std::move(membership)) {
  may_spin_ = size() <= cpu::usable_cores();
  mine().pid.store(getpid(), std::memory_order_relaxed);
  mine().seen_ns.store(now_ns(), std::memory_order_relaxed);
}

Group::~Group() {
  mine().left.store(1, std::memory_order_release);
  futex_wake(mine().arrived);
  for (int r = 0; r < size(); ++r) ring(r);
}

void Group::step(const Record& record) {
  RankBlock& me = mine();
  const auto step = static_cast<uint32_t>(++steps_);
  const int64_t since = now_ns();
  me.seen_ns.store(since, std::memory_order_relaxed);
  me.arrived.store(step);
  if (me.sleepers.load() != 0) futex_wake(me.arrived);
  for (int k = 1; k < size(); ++k) {
    const int r = m_.rank + k < size() ? m_.rank + k : m_.rank + k - size();
    if (!reached(block(r).arrived, step)) wait_for(r, step, since, record);
  }
  check();
}

void Group::wait_for(int r, uint32_t step, int64_t since_ns, const Record& record) {
  RankBlock& peer = block(r);
  for (int i = 0; may_spin_ && i < kSpins; ++i) {
    if (reached(peer.arrived, step)) return;
    spin_pause();
  }
  while (now_ns() - since_ns < kYieldNs) {
    sched_yield();
    if (reached(peer.arrived, step)) return;
  }
  for (;;) {
    check();
    const bool late = is_late(since_ns);
    // Twice at the deadline: one that was late itself must not blame those who came meanwhile.
    if (late && reached(peer.arrived, step)) return show_waiting(-1);
    check_missing(step, late, record);
    show_waiting(r);
    peer.sleepers.fetch_add(1);
    const uint32_t seen = peer.arrived.load();
    if (static_cast<int32_t>(seen - step) < 0) {
      const int64_t left = since_ns + deadline_ns_ - now_ns();
      futex_wait(peer.arrived, seen, std::clamp<int64_t>(left, 100'000, kSliceNs));
    }
    peer.sleepers.fetch_sub(1);
    if (reached(peer.arrived, step)) return show_waiting(-1);
  }
}

void Group::show_alive(int64_t now) {
  mine().seen_ns.store(now, std::memory_order_relaxed);
  outer_block(m_.rank).seen_ns.store(now, std::memory_order_relaxed);
}

void Group::show_waiting(int r) {
  const int32_t shown = r < 0 ? 0 : 1 + outer_rank(r);
  show_alive(now_ns());
  outer_block(m_.rank).waits_for.store(shown, std::memory_order_relaxed);
}

void Group::begin_access() {
  mine().accessing.store(1);
  if (failure().state.load() != FailureBlock::kNone) [[unlikely]]
    throw_failure();
}

void Group::wait_for_bell(uint32_t seen) {
  RankBlock& me = mine();
  me.bell_sleepers.fetch_add(1);
  if (me.bell.load() == seen) futex_wait(me.bell, seen, kSliceNs);
  me.bell_sleepers.fetch_sub(1);
}

void Group::ring(int r) {
  RankBlock& peer = block(r);
  peer.bell.fetch_add(1);
  if (peer.bell_sleepers.load() != 0) futex_wake(peer.bell);
}

void Group::set_failure(Errc code, const std::string& text) noexcept {
  FailureBlock& f = failure();
  uint32_t none = FailureBlock::kNone;
  if (!f.state.compare_exchange_strong(none, FailureBlock::kWriting)) return;
  f.code.store(static_cast<uint32_t>(code), std::memory_order_relaxed);
  const size_t bytes = std::min(text.size(), FailureBlock::kTextBytes - 1);
  memcpy(f.text, text.data(), bytes);
  f.text[bytes] = 0;
  f.state.store(FailureBlock::kReady);
  for (int r = 0; r < size(); ++r) {
    futex_wake(block(r).arrived);
    ring(r);
  }
}

void Group::fail(Errc code, const std::string& text) {
  set_failure(code, text);
  throw_failure();
}

void Group::throw_failure() {
  end_access();
  // Peers may be copying from or to the buffers of the caller, which are its own again after this.
  if (is_threads()) {
    for (int r = 0; r < size(); ++r)
      while (r != m_.rank && block(r).accessing.load() != 0) sched_yield();
  }
  FailureBlock& f = failure();
  const int64_t since = now_ns();
  while (f.state.load(std::memory_order_acquire) != FailureBlock::kReady) {
    // Whoever was writing may have died over it.
    if (now_ns() - since > kSliceNs * 5) throw Error(Errc::comm, "group '" + m_.name + "' failed");
    sched_yield();
  }
  throw Error(static_cast<Errc>(f.code.load(std::memory_order_relaxed)), f.text);
}

}  // namespace tutti::comm
