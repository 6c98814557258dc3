// SPDX-License-Identifier: Apache-2.0
#include "comm/shm/shm_transport.h"

#include <algorithm>

#include "comm/reduce.h"
#include "core/error.h"

namespace tutti::comm {

std::unique_ptr<Transport> ShmTransport::join(std::shared_ptr<Rendezvous> meeting,
                                              const std::string& name, int rank, int size,
                                              double timeout_s, const ShmOptions& options) {
  require_argument(size >= 1 && size <= kMostRanks, "group '", name, "' of ", size, " ranks: 1 to ",
                   kMostRanks, " are possible");
  require_argument(rank >= 0 && rank < size, "group '", name, "': rank ", rank, " of ", size);
  require_argument(options.chunk_bytes >= 64 * static_cast<size_t>(size), "group '", name,
                   "': chunks of ", options.chunk_bytes, " bytes: ", 64 * size, " are needed");
  const Layout layout{size, options.chunk_bytes / 64 * 64, options.pair_chunk_bytes};
  Membership m = meeting->join({name, rank, layout, timeout_s});
  m.outermost = m.segment;
  for (int r = 0; r < size; ++r) m.outer_ranks.push_back(r);
  return std::unique_ptr<Transport>(new ShmTransport(meeting, std::move(m), options));
}

ShmTransport::ShmTransport(std::shared_ptr<Rendezvous> meeting, Membership membership,
                           const ShmOptions& options)
    : meeting_(std::move(meeting)), group_(std::move(membership)), options_(options) {}

void ShmTransport::set_deadline(double seconds) { group_.set_deadline(seconds); }

std::unique_ptr<Transport> ShmTransport::split(const std::string& name,
                                               const std::vector<int>& members) {
  const auto at = std::find(members.begin(), members.end(), rank());
  Arrival arrival{name, static_cast<int>(at - members.begin()), group_.segment().layout(),
                  group_.deadline_s()};
  arrival.layout.size = static_cast<int>(members.size());
  for (int r : members)
    arrival.outer_ranks.push_back(group_.membership().outer_ranks[static_cast<size_t>(r)]);
  int looks = 0;
  arrival.look_about = [&] {
    group_.check();
    // Twice in a row: who has gone may have been the last that was needed.
    int gone = 0;
    while (gone < arrival.layout.size && !group_.is_gone(members[static_cast<size_t>(gone)]))
      ++gone;
    looks = gone == arrival.layout.size ? 0 : looks + 1;
    // Said to all before anybody hangs up.
    if (looks == 2) group_.fail(Errc::comm, gone_text(arrival, gone));
  };
  Membership m;
  try {
    m = meeting_->join(arrival);
  } catch (const Error& error) {
    group_.fail(error.code(), error.what());
  }
  m.outermost = group_.membership().outermost;
  m.outer_ranks = arrival.outer_ranks;
  std::unique_ptr<ShmTransport> t(new ShmTransport(meeting_, std::move(m), options_));
  t->set_deadline(group_.deadline_s());
  return t;
}

void ShmTransport::abort_group(const std::string& reason) noexcept {
  group_.set_failure(Errc::comm, abort_text(group_, rank(), reason));
}

std::vector<std::vector<Entry>> ShmTransport::history() const {
  std::vector<std::vector<Entry>> all;
  for (int r = 0; r < size(); ++r) all.push_back(entries_of(group_.activity(r)));
  return all;
}

void ShmTransport::run(const Collective& c, uint64_t number, uint64_t label_hash, const void* in,
                       void* out) {
  group_.check();
  RankBlock& me = group_.mine();
  Record& record = me.collective[number % kHistory];
  record.begin(c, number, label_hash, now_ns());
  me.collectives.store(number, std::memory_order_release);
  const size_t element = size_of(c.dtype);
  const auto out_bytes = static_cast<size_t>(out_elements(c, rank(), size())) * element;
  Work w{c,
         record,
         static_cast<const std::byte*>(in),
         static_cast<std::byte*>(out),
         element,
         out_bytes >= options_.stream_bytes};
  if (goes_direct(w)) {
    direct(w);
  } else {
    staged(w);
  }
  const int64_t end = now_ns();
  record.end(end);
  group_.show_alive(end);
}

void ShmTransport::step(Work& w) {
  group_.step(w.record);
  if (w.compared) return;
  compare(w);
  w.compared = true;
}

void ShmTransport::compare(const Work& w) {
  const uint64_t slot = w.record.number() % kHistory;
  Record& first = group_.block(0).collective[slot];
  for (int r = 1; r < size(); ++r) {
    Record& other = group_.block(r).collective[slot];
    if (other.matches(first)) continue;
    group_.fail(Errc::invalid_argument, difference_text(group_, r, other, first));
  }
  if (w.c.kind == Kind::all_to_all_v) compare_counts(w);
}

void ShmTransport::compare_counts(const Work& w) {
  const uint64_t written = group_.steps() - 1;
  for (int from = 0; from < size(); ++from) {
    for (int to = 0; to < size(); ++to) {
      const int64_t sent = group_.segment().counts(from, written)[to];
      const int64_t wanted = group_.segment().counts(to, written)[size() + from];
      if (sent == wanted) continue;
      group_.fail(Errc::invalid_argument,
                  counts_text(group_, w.record.read(), from, to, sent, wanted));
    }
  }
}

bool ShmTransport::goes_direct(Work& w) {
  if (w.c.kind == Kind::all_to_all_v) {
    int64_t* counts = group_.segment().counts(rank(), group_.steps());
    std::copy(w.c.sends.begin(), w.c.sends.end(), counts);
    std::copy(w.c.receives.begin(), w.c.receives.end(), counts + size());
  }
  if (!group_.is_threads() || w.c.kind == Kind::barrier) return false;
  const size_t bytes = static_cast<size_t>(w.c.count) * w.element;
  if (w.c.kind != Kind::all_to_all_v && bytes < options_.direct_bytes) return false;
  w.record.set_buffers(w.in, w.out);
  step(w);
  if (w.c.kind != Kind::all_to_all && w.c.kind != Kind::all_to_all_v) return true;
  // A rank that exchanges in place would overwrite what its peers are to read.
  for (int r = 0; r < size(); ++r)
    if (peer_in(w, r) == peer_out(w, r)) return false;
  return true;
}

}  // namespace tutti::comm
