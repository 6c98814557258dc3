// SPDX-License-Identifier: Apache-2.0
#include "comm/progress.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace tutti::comm {
namespace {

int64_t clock_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

Pair pair_of(const Job& job) {
  Pair pair;
  pair.what = job.what;
  pair.number = job.number;
  pair.bytes = static_cast<size_t>(job.what.count) * size_of(job.what.dtype);
  // A send only reads.
  pair.data = job.what.kind == Kind::send
                  ? const_cast<std::byte*>(static_cast<const std::byte*>(job.in))
                  : static_cast<std::byte*>(job.out);
  return pair;
}

void describe_message(const Pair& pair, int rank, Record& record) {
  Collective sent = pair.what;
  sent.kind = Kind::send;
  if (pair.what.kind == Kind::recv) sent.root = rank;
  record.begin(sent, pair.number, pair.label_hash, clock_ns());
}

void run_pair(Transport& transport, Pair& pair, uint64_t label_hash) {
  transport.open(pair, label_hash);
  int64_t since = clock_ns();
  int rounds = 0;
  while (!pair.done) {
    if (transport.advance(pair)) {
      since = clock_ns();
      rounds = 0;
    } else {
      transport.idle(pair, since, rounds++);
    }
  }
}

Progress::Progress(Transport& transport) : transport_(transport) {
  thread_ = std::thread([this] { work(); });
}

Progress::~Progress() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  added_.notify_all();
  thread_.join();
}

uint64_t Progress::add(const Job& job) {
  uint64_t id;
  {
    std::unique_lock lock(mutex_);
    id = added_count_;
    finished_.wait(lock, [&] { return slot(id).done; });
    if (failure_) std::rethrow_exception(failure_);
    Slot& s = slot(id);
    s.job = job;
    const size_t bytes = std::min(job.what.label.size(), sizeof s.label);
    if (bytes > 0) memcpy(s.label, job.what.label.data(), bytes);
    s.job.what.label = {s.label, bytes};
    s.done = false;
    ++added_count_;
  }
  added_.notify_one();
  return id;
}

void Progress::wait(uint64_t id) {
  std::unique_lock lock(mutex_);
  // A slot that another job has taken was done before.
  finished_.wait(lock, [&] { return id + kSlots < added_count_ || slot(id).done; });
  if (id + kSlots >= added_count_ && slot(id).failed) std::rethrow_exception(failure_);
}

uint64_t Progress::outstanding() {
  std::lock_guard lock(mutex_);
  return added_count_ - done_count_;
}

/// Takes the next job; waits for one unless `pairs_only`, which takes a send or recv or nothing.
bool Progress::next(uint64_t& id, bool pairs_only) {
  std::unique_lock lock(mutex_);
  if (!pairs_only) added_.wait(lock, [&] { return stop_ || begun_ != added_count_; });
  if (begun_ == added_count_) return false;
  if (pairs_only && !is_pair(slot(begun_).job.what.kind)) return false;
  id = begun_++;
  return true;
}

void Progress::finish(uint64_t id) {
  {
    std::lock_guard lock(mutex_);
    slot(id).done = true;
    ++done_count_;
  }
  finished_.notify_all();
}

void Progress::run_pairs(uint64_t first) {
  std::array<uint64_t, kSlots> active;
  size_t count = 0;
  const auto add = [&](uint64_t id) {
    Slot& s = slot(id);
    s.pair = pair_of(s.job);
    transport_.open(s.pair, s.job.label_hash);
    active[count++] = id;
  };
  add(first);
  int64_t since = clock_ns();
  for (int rounds = 0; count > 0;) {
    bool moved = false;
    for (uint64_t id; count < kSlots && next(id, true); moved = true) add(id);
    for (size_t i = 0; i < count;) {
      Pair& pair = slot(active[i]).pair;
      // Messages between two ranks keep their order: only the first in each direction moves.
      const bool first_of_kind = std::none_of(active.begin(), active.begin() + i, [&](uint64_t o) {
        const Pair& other = slot(o).pair;
        return other.what.kind == pair.what.kind && other.what.root == pair.what.root;
      });
      moved |= first_of_kind && transport_.advance(pair);
      if (!pair.done) {
        ++i;
        continue;
      }
      finish(active[i]);
      std::copy(active.begin() + i + 1, active.begin() + count, active.begin() + i);
      --count;
    }
    if (count == 0) break;
    rounds = moved ? 0 : rounds + 1;
    if (moved) since = clock_ns();
    if (!moved) transport_.idle(slot(active[0]).pair, since, rounds);
  }
}

void Progress::work() {
  uint64_t id = 0;
  try {
    while (next(id, false)) {
      Job& job = slot(id).job;
      if (is_pair(job.what.kind)) {
        run_pairs(id);
      } else {
        transport_.run(job.what, job.number, job.label_hash, job.in, job.out);
        finish(id);
      }
    }
  } catch (...) {
    fail_all();
  }
}

void Progress::fail_all() {
  {
    std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    for (Slot& s : slots_) {
      s.failed = !s.done;
      s.done = true;
    }
    done_count_ = added_count_;
  }
  finished_.notify_all();
}

}  // namespace tutti::comm
