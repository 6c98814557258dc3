// SPDX-License-Identifier: Apache-2.0
// Who is missing, and in what words.
#include <poll.h>

#include <cstdio>
#include <fstream>

#include "comm/shm/group.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

std::string seconds_text(int64_t ns) {
  const int64_t tenths = (ns + 50'000'000) / 100'000'000;
  return join(tenths / 10, ".", tenths % 10, " s");
}

std::string title_of(const Entry& e) { return title(e.kind, e.number, e.label); }

}  // namespace

std::string Group::name_of(int r) const {
  return join("rank ", m_.outer_ranks[static_cast<size_t>(r)]);
}

bool Group::is_dead(int r) const {
  if (m_.processes.empty() || m_.processes[static_cast<size_t>(r)].get() < 0) return false;
  pollfd p{m_.processes[static_cast<size_t>(r)].get(), POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

bool Group::is_stopped(int r) {
  if (is_threads()) return false;
  std::ifstream file(join("/proc/", block(r).pid.load(), "/stat"));
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(") ");
  return name_end != std::string::npos && name_end + 2 < line.size() && line[name_end + 2] == 'T';
}

Entry Group::last_entry(int r) {
  RankBlock& b = block(r);
  Entry last;
  if (const uint64_t n = b.collectives.load(); n != 0) last = b.collective[n % kHistory].read();
  if (const uint64_t n = b.pairs.load(); n != 0) {
    Entry pair = b.pair[n % kHistory].read();
    if (last.number == 0 || pair.start_ns > last.start_ns) last = std::move(pair);
  }
  return last;
}

std::string Group::sentence(int r, Fate fate, const Entry& waited) {
  const Entry last = last_entry(r);
  const bool running = last.number != 0 && last.end_ns == 0;
  // The other end of a send is a recv of the same number.
  const bool there =
      running && last.number == waited.number && is_pair(last.kind) == is_pair(waited.kind);
  const bool stopped = fate == Fate::late && is_stopped(r);
  std::string text = name_of(r);
  if (fate == Fate::dead) text += " died";
  if (fate == Fate::left) text += " left the group";
  if (stopped || (fate == Fate::late && there)) text += " stopped";
  const bool absent = fate == Fate::late && !stopped && !there;
  if (there) {
    text += join(" in ", title_of(last));
  } else {
    text += join(absent ? " has not come to " : " before ", title_of(waited));
    if (running) text += join(", in ", title_of(last));
    if (!running && last.number != 0) text += join(", after ", title_of(last));
  }
  if (fate == Fate::late) {
    text += join(", last seen ", seconds_text(now_ns() - seen_ns(r)), " ago");
  }
  return text;
}

/// Whom the outermost rank `r` waits for in the end, over all groups: the one that is not seen to
/// wait itself; r itself when they wait for each other in a ring.
int Group::culprit(int r) {
  constexpr int64_t kFreshNs = 200'000'000;  // some times longer than waiting ranks are silent
  int at = r;
  for (int hops = 0; hops < kMostRanks; ++hops) {
    RankBlock& b = m_.outermost->rank(at);
    const int next = b.waits_for.load(std::memory_order_relaxed) - 1;
    const bool waits = now_ns() - b.seen_ns.load(std::memory_order_relaxed) < kFreshNs;
    if (next < 0 || !waits || next == at) return at;
    at = next;
  }
  return r;
}

std::string Group::who_waits(uint64_t missing, const Entry& waited) {
  std::vector<int> waiting;
  for (int r = 0; r < size(); ++r) {
    const Entry last = last_entry(r);
    const bool there = last.end_ns == 0 && last.number == waited.number && last.kind == waited.kind;
    if ((missing >> r & 1) == 0 && (r == m_.rank || (there && !is_dead(r))))
      waiting.push_back(m_.outer_ranks[static_cast<size_t>(r)]);
  }
  return join(waiting.size() == 1 ? "rank " : "ranks ", join_list(waiting),
              waiting.size() == 1 ? " is waiting there" : " are waiting there");
}

void Group::fail_for(uint64_t ranks, bool late, const Record& record) {
  const Entry waited = record.read();
  std::string text;
  for (int r = 0; r < size(); ++r) {
    if ((ranks >> r & 1) == 0) continue;
    const bool left = block(r).left.load(std::memory_order_acquire) != 0;
    const int outer = m_.outer_ranks[static_cast<size_t>(r)];
    const int first = late ? culprit(outer) : outer;
    if (first != outer) {
      const int64_t seen = m_.outermost->rank(first).seen_ns.load();
      text += join("rank ", first, " stopped or is late, last seen ", seconds_text(now_ns() - seen),
                   " ago, and rank ", outer, " waits for it; ");
      continue;
    }
    text += sentence(r, late ? Fate::late : left ? Fate::left : Fate::dead, waited) + "; ";
  }
  text += who_waits(ranks, waited);
  if (m_.segment != m_.outermost) text += join(" (group '", m_.name, "')");
  fail(late ? Errc::timeout : Errc::comm, text);
}

void Group::check_missing(uint32_t step, bool late, const Record& record) {
  // Allocates only when there is something to say: slow ranks come here all the time.
  uint64_t missing = 0, dead = 0;
  const auto came = [&](int r) {
    return static_cast<int32_t>(block(r).arrived.load(std::memory_order_acquire) - step) >= 0;
  };
  for (int r = 0; r < size(); ++r) {
    if (came(r)) continue;
    const bool gone = is_gone(r);
    // It may have come, done all it had to do and gone since.
    if (came(r)) continue;
    missing |= uint64_t{1} << r;
    if (gone) dead |= uint64_t{1} << r;
  }
  if (dead != 0) fail_for(dead, false, record);
  if (late && missing != 0) fail_for(missing, true, record);
}

void Group::check_peer(int r, const Record& record, bool late) {
  check();
  const bool gone = is_gone(r);
  if (gone || late) fail_for(uint64_t{1} << r, !gone, record);
}

}  // namespace tutti::comm
