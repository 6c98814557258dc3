// SPDX-License-Identifier: Apache-2.0
// Who is missing, and in what words.
#include "comm/blame.h"

#include <time.h>

#include "core/error.h"

namespace tutti::comm {
namespace {

std::string seconds_text(int64_t ns) {
  const int64_t tenths = (ns + 50'000'000) / 100'000'000;
  return join(tenths / 10, ".", tenths % 10, " s");
}

std::string title_of(const Entry& e) { return title(e.kind, e.number, e.label); }

int64_t seen_ns(const View& view, int r) {
  return std::max(view.activity(r).seen_ns.load(),
                  view.outer_activity(view.outer_rank(r)).seen_ns.load());
}

std::string_view words(View::Fate fate) {
  switch (fate) {
    case View::Fate::died:
      return " died";
    case View::Fate::left:
      return " left the group";
    case View::Fate::lost:
      return " cannot be reached";
    default:
      return " stopped";
  }
}

std::string sentence(const View& view, int r, View::Fate fate, const Entry& waited) {
  const Entry last = last_entry(view.activity(r));
  const bool running = last.number != 0 && last.end_ns == 0;
  // The other end of a send is a recv of the same number.
  const bool there =
      running && last.number == waited.number && is_pair(last.kind) == is_pair(waited.kind);
  const bool absent = fate == View::Fate::late && !there;
  std::string text = name_of(view, r);
  if (!absent) text += words(fate);
  if (there) {
    text += join(" in ", title_of(last));
  } else {
    text += join(absent ? " has not come to " : " before ", title_of(waited));
    if (running) text += join(", in ", title_of(last));
    if (!running && last.number != 0) text += join(", after ", title_of(last));
  }
  if (fate == View::Fate::late || fate == View::Fate::stopped || fate == View::Fate::lost)
    text += join(", last seen ", seconds_text(now_ns() - seen_ns(view, r)), " ago");
  return text;
}

std::string who_waits(const View& view, uint64_t absent, const Entry& waited) {
  std::vector<int> waiting;
  for (int r = 0; r < view.size(); ++r) {
    if ((absent >> r & 1) != 0) continue;
    const Entry last = last_entry(view.activity(r));
    const bool there = last.end_ns == 0 && last.number == waited.number && last.kind == waited.kind;
    const View::Fate fate = view.fate(r);
    const bool here = fate == View::Fate::late || fate == View::Fate::left;
    if (r == view.rank() || (there && here)) waiting.push_back(view.outer_rank(r));
  }
  return join(waiting.size() == 1 ? "rank " : "ranks ", join_list(waiting),
              waiting.size() == 1 ? " is waiting there" : " are waiting there");
}

}  // namespace

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

std::string name_of(const View& view, int r) { return join("rank ", view.outer_rank(r)); }

int culprit(const View& view, int outer) {
  constexpr int64_t kFreshNs = 200'000'000;  // some times longer than waiting ranks are silent
  int at = outer;
  for (int hops = 0; hops < kMostRanks; ++hops) {
    const Activity& a = view.outer_activity(at);
    const int next = a.waits_for.load(std::memory_order_relaxed) - 1;
    const bool waits = now_ns() - a.seen_ns.load(std::memory_order_relaxed) < kFreshNs;
    if (next < 0 || !waits || next == at) return at;
    at = next;
  }
  return outer;
}

std::string absence_text(const View& view, uint64_t absent, bool late, const Entry& waited) {
  std::string text;
  for (int r = 0; r < view.size(); ++r) {
    if ((absent >> r & 1) == 0) continue;
    const int outer = view.outer_rank(r);
    const int first = late ? culprit(view, outer) : outer;
    if (first != outer) {
      const int64_t seen = view.outer_activity(first).seen_ns.load();
      text += join("rank ", first, " stopped or is late, last seen ", seconds_text(now_ns() - seen),
                   " ago, and rank ", outer, " waits for it; ");
      continue;
    }
    text += sentence(view, r, view.fate(r), waited) + "; ";
  }
  text += who_waits(view, absent, waited);
  if (!view.is_outermost()) text += join(" (group '", view.group_name(), "')");
  return text;
}

std::string difference_text(const View& view, int r, const Record& its, const Record& first) {
  return join(name_of(view, r), " runs ", to_string(its.read()), ", ", name_of(view, 0), " runs ",
              to_string(first.read()), ": ranks of group '", view.group_name(),
              "' must run the same in the same order");
}

std::string difference_text(const View& view, const Record& recv, int from, const Record& send) {
  return join(name_of(view, view.rank()), " runs ", to_string(recv.read()), ", ",
              name_of(view, from), " runs ", to_string(send.read()),
              ": a send and its recv must be of the same");
}

std::string counts_text(const View& view, const Entry& what, int from, int to, int64_t sent,
                        int64_t received) {
  return join(title_of(what), ": ", name_of(view, from), " sends ", sent, " elements to ",
              name_of(view, to), ", which receives ", received);
}

std::string abort_text(const View& view, int r, const std::string& reason) {
  return name_of(view, r) + " ended the group: " + reason;
}

}  // namespace tutti::comm
