// SPDX-License-Identifier: Apache-2.0
#include "comm/tcp/group.h"

#include <sched.h>
#include <time.h>

#include <algorithm>

#include "comm/shm/futex.h"
#include "core/error.h"
#include "device/cpu/pool.h"

namespace tutti::comm {
namespace {

constexpr int kSpins = 400;
constexpr int64_t kYieldNs = 200'000;
constexpr int64_t kLookNs = 20'000'000;   // between looks at who is still there
constexpr int64_t kGraceNs = 40'000'000;  // for what was on its way when its sender went
constexpr int64_t kLongestNapNs = 500'000;

void nap(int64_t ns) {
  const timespec time{0, ns};
  nanosleep(&time, nullptr);
}

}  // namespace

TcpGroup::TcpGroup(std::shared_ptr<Control> control, const std::string& name,
                   std::vector<int> members, const std::string& outermost)
    : control_(std::move(control)),
      name_(name),
      outermost_(outermost),
      members_(std::move(members)) {
  uint64_t mask = 0;
  for (int outer : members_) mask |= bit(outer);
  rank_ = static_cast<int>(std::find(members_.begin(), members_.end(), control_->rank()) -
                           members_.begin());
  board_ = control_->enter(hash_label(name_), mask);
  outer_board_ = control_->board(hash_label(outermost_));
  // Gloo's thread of each rank wants a core as well.
  may_spin_ = 2 * size() <= cpu::usable_cores();
}

TcpGroup::~TcpGroup() { leave(); }

void TcpGroup::leave() {
  if (!has_left_) control_->leave(board_->id(), is_outermost());
  has_left_ = true;
}

View::Fate TcpGroup::fate(int r) const {
  if (activity(r).left.load(std::memory_order_acquire) != 0) return Fate::left;
  if (r == rank_) return Fate::late;
  switch (control_->peer(outer_rank(r))) {
    case Control::Peer::left:
      return Fate::left;
    case Control::Peer::died:
      return Fate::died;
    case Control::Peer::lost:
      return Fate::lost;
    default:
      return control_->is_silent(outer_rank(r)) ? Fate::stopped : Fate::late;
  }
}

bool TcpGroup::is_gone(int r) const {
  const Fate f = fate(r);
  return f != Fate::late && f != Fate::stopped;
}

Record& TcpGroup::begin(const Collective& c, uint64_t number, uint64_t label_hash) {
  Activity& me = board_->mine();
  Record& record = me.collective[number % kHistory];
  const int64_t now = now_ns();
  record.begin(c, number, label_hash, now);
  me.collectives.store(number, std::memory_order_release);
  show_alive(now);
  return record;
}

Record& TcpGroup::begin_pair(const Collective& c, uint64_t number, uint64_t label_hash,
                             uint64_t& entry) {
  Activity& me = board_->mine();
  entry = me.pairs.load(std::memory_order_relaxed) + 1;
  Record& record = pair_record(entry);
  record.begin(c, number, label_hash, now_ns());
  me.pairs.store(entry, std::memory_order_release);
  return record;
}

void TcpGroup::end(Record& record) {
  const int64_t now = now_ns();
  record.end(now);
  show_alive(now);
}

void TcpGroup::refresh() {
  uint64_t ranks = 0;
  for (int r = 0; r < control_->size(); ++r) ranks |= bit(r);
  control_->refresh(ranks);
}

void TcpGroup::show_alive(int64_t now) {
  board_->mine().seen_ns.store(now, std::memory_order_relaxed);
  outer_board_->mine().seen_ns.store(now, std::memory_order_relaxed);
}

void TcpGroup::show_waiting(int r) {
  show_alive(now_ns());
  outer_board_->mine().waits_for.store(r < 0 ? 0 : 1 + outer_rank(r), std::memory_order_relaxed);
}

/// Waits a little; true when it is time to look at who is there.
bool TcpGroup::pause(Wait& w) {
  control_->check();
  if (may_spin_ && w.rounds < kSpins) {
    ++w.rounds;
    spin_pause();
    return false;
  }
  const int64_t now = now_ns();
  const int64_t waited = now - w.since;
  if (waited < kYieldNs) {
    sched_yield();
    return false;
  }
  nap(std::clamp<int64_t>(waited / 16, 20'000, kLongestNapNs));
  if (now - std::max(w.look_ns, w.since) < kLookNs) return false;
  w.look_ns = now;
  return true;
}

/// Those of `left` that are to blame now. Answers of the others are fresh then, and what was on its
/// way has come.
uint64_t TcpGroup::look(Wait& w, uint64_t left) {
  w.shown = true;
  show_waiting(std::countr_zero(left));
  w.late = now_ns() - w.since > deadline_ns_;
  uint64_t gone = 0;
  for (int r = 0; r < size(); ++r)
    if ((left >> r & 1) != 0 && is_gone(r)) gone |= bit(r);
  const uint64_t twice = gone & w.suspects;
  w.suspects = gone;
  if (twice == 0 && gone != 0) nap(kGraceNs - kLookNs);
  if (twice == 0 && !w.late) return 0;
  refresh();
  control_->check();
  if (twice != 0) w.late = false;
  return twice != 0 ? twice : left;
}

/// Ranks of the same collective that wait themselves are not to blame, but whom they wait for.
uint64_t TcpGroup::stuck_behind(uint64_t absent, const Entry& waited) const {
  uint64_t blamed = 0;
  for (int r = 0; r < size(); ++r) {
    if ((absent >> r & 1) == 0) continue;
    const Entry last = last_entry(activity(r));
    const bool there = last.end_ns == 0 && last.number == waited.number && last.kind == waited.kind;
    const int first = culprit(*this, outer_rank(r));
    const auto at = std::find(members_.begin(), members_.end(), first);
    const bool passes = there && at != members_.end() && first != control_->rank();
    blamed |= passes ? bit(static_cast<int>(at - members_.begin())) : bit(r);
  }
  return blamed;
}

void TcpGroup::blame(uint64_t absent, const Wait& w, const Record& record) {
  if (absent == 0) return;
  const Entry waited = record.read();
  if (w.late && !is_pair(waited.kind)) absent = stuck_behind(absent, waited);
  fail(w.late ? Errc::timeout : Errc::comm, absence_text(*this, absent, w.late, waited));
}

void TcpGroup::pause_pair(int64_t since_ns, int rounds) {
  if (may_spin_ && rounds < kSpins) return spin_pause();
  const int64_t waited = now_ns() - since_ns;
  if (waited < kYieldNs) {
    sched_yield();
  } else {
    nap(std::clamp<int64_t>(waited / 16, 20'000, kLongestNapNs));
  }
}

void TcpGroup::look_at(int r, const Record& record, int64_t since_ns, bool& suspect) {
  if (now_ns() - since_ns < kLookNs) return;
  control_->check();
  show_waiting(r);
  shows_wait_ = true;
  Wait w{since_ns};
  w.late = now_ns() - since_ns > deadline_ns_;
  const bool gone = is_gone(r);
  if (!gone && !w.late) {
    suspect = false;
  } else if (!suspect) {
    // What it has sent may be on its way.
    suspect = true;
    if (gone) nap(kGraceNs);
    refresh();
  } else {
    if (gone) w.late = false;
    blame(bit(r), w, record);
  }
}

void TcpGroup::show_moving() {
  if (shows_wait_) show_waiting(-1);
  shows_wait_ = false;
  show_alive(now_ns());
}

}  // namespace tutti::comm
