// SPDX-License-Identifier: Apache-2.0
// Collectives through the segment. Between steps s and s + 1 a rank writes its buffer s % 3 only
// and reads what was written one or two steps ago, so that one step for each chunk is enough, also
// where one collective ends and the next begins.
#include <algorithm>
#include <array>

#include "comm/part.h"
#include "comm/reduce.h"
#include "comm/shm/shm_transport.h"

namespace tutti::comm {
/// Calls in(offset, n) for each chunk and, a step later, out(offset, n).
template <class In, class Out>
void ShmTransport::chunks(Work& w, int64_t count, int64_t chunk, const In& in, const Out& out) {
  const int64_t rounds = (count + chunk - 1) / chunk;
  for (int64_t p = 0; p <= rounds; ++p) {
    if (p < rounds) in(p * chunk, std::min(chunk, count - p * chunk));
    if (p > 0) out((p - 1) * chunk, std::min(chunk, count - (p - 1) * chunk));
    if (p < rounds || !w.compared) step(w);
  }
}

void ShmTransport::staged(Work& w) {
  const int64_t whole = static_cast<int64_t>(options_.chunk_bytes / w.element);
  switch (w.c.kind) {
    case Kind::barrier:
      return step(w);
    case Kind::all_reduce:
    case Kind::reduce:
      if (static_cast<size_t>(w.c.count) * w.element <=
          std::min(options_.one_step_bytes, options_.chunk_bytes))
        return staged_reduce_at_once(w, whole);
      return staged_reduce(w, whole);
    case Kind::reduce_scatter:
      return staged_reduce_scatter(w);
    case Kind::all_gather:
    case Kind::gather:
      return staged_from_each(w, whole);
    case Kind::broadcast:
      return staged_broadcast(w, whole);
    default:
      return staged_exchange(w);
  }
}

void ShmTransport::staged_reduce_at_once(Work& w, int64_t chunk) {
  chunks(
      w, w.c.count, chunk,
      [&](int64_t, int64_t n) { copy_bytes(written(), w.in, static_cast<size_t>(n) * w.element); },
      [&](int64_t, int64_t n) {
        if (w.c.kind == Kind::reduce && w.c.root != rank()) return;
        std::array<const void*, kMostRanks> ins;
        for (int r = 0; r < size(); ++r) ins[static_cast<size_t>(r)] = peer(r, 1);
        ins[static_cast<size_t>(rank())] = w.in;
        reduce_elements(w.c.dtype, w.c.reduce, std::span(ins.data(), static_cast<size_t>(size())),
                        w.out, n);
      });
}

/// Each rank shows its chunk, reduces its part of everybody's, and collects the others' results.
void ShmTransport::staged_reduce(Work& w, int64_t chunk) {
  const int64_t rounds = (w.c.count + chunk - 1) / chunk;
  const auto length = [&](int64_t p) { return std::min(chunk, w.c.count - p * chunk); };
  const auto bytes = [&](int64_t n) { return static_cast<size_t>(n) * w.element; };
  const int me = rank();
  const bool gets = w.c.kind == Kind::all_reduce || w.c.root == me;
  for (int64_t p = 0; p < rounds + 2; ++p) {
    if (p < rounds) {
      const Part mine = part_of(length(p), w.element, me, size());
      const std::byte* in = w.in + bytes(p * chunk);
      copy_bytes(written(), in, bytes(mine.begin));
      copy_bytes(written() + bytes(mine.end), in + bytes(mine.end), bytes(length(p) - mine.end));
    }
    if (const int64_t q = p - 1; q >= 0 && q < rounds) {
      const Part mine = part_of(length(q), w.element, me, size());
      std::array<const void*, kMostRanks> ins;
      for (int r = 0; r < size(); ++r) ins[static_cast<size_t>(r)] = peer(r, 1) + bytes(mine.begin);
      ins[static_cast<size_t>(me)] = w.in + bytes(q * chunk + mine.begin);
      reduce_elements(w.c.dtype, w.c.reduce, std::span(ins.data(), static_cast<size_t>(size())),
                      written(1) + bytes(mine.begin), mine.end - mine.begin);
    }
    if (const int64_t q = p - 2; q >= 0 && gets) {
      for (int k = 0; k < size(); ++k) {
        const int r = (me + k) % size();
        const Part part = part_of(length(q), w.element, r, size());
        copy_bytes(w.out + bytes(q * chunk + part.begin), peer(r, 2) + bytes(part.begin),
                   bytes(part.end - part.begin), w.stream);
      }
    }
    if (p < rounds + 1) step(w);
  }
}

void ShmTransport::staged_reduce_scatter(Work& w) {
  const auto bytes = [&](int64_t n) { return static_cast<size_t>(n) * w.element; };
  const size_t place = options_.chunk_bytes / static_cast<size_t>(size()) / 64 * 64;
  const int me = rank();
  const auto show = [&](int64_t at, int64_t n) {
    for (int r = 0; r < size(); ++r) {
      if (r == me) continue;
      copy_bytes(written() + static_cast<size_t>(r) * place, w.in + bytes(r * w.c.count + at),
                 bytes(n));
    }
  };
  const auto take = [&](int64_t at, int64_t n) {
    std::array<const void*, kMostRanks> ins;
    for (int r = 0; r < size(); ++r)
      ins[static_cast<size_t>(r)] = peer(r, 1) + static_cast<size_t>(me) * place;
    ins[static_cast<size_t>(me)] = w.in + bytes(me * w.c.count + at);
    reduce_elements(w.c.dtype, w.c.reduce, std::span(ins.data(), static_cast<size_t>(size())),
                    w.out + bytes(at), n);
  };
  chunks(w, w.c.count, static_cast<int64_t>(place / w.element), show, take);
}

void ShmTransport::staged_from_each(Work& w, int64_t chunk) {
  const auto bytes = [&](int64_t n) { return static_cast<size_t>(n) * w.element; };
  const int me = rank();
  const bool gets = w.c.kind == Kind::all_gather || w.c.root == me;
  const bool shows = w.c.kind == Kind::all_gather || w.c.root != me;
  const auto show = [&](int64_t at, int64_t n) {
    if (shows) copy_bytes(written(), w.in + bytes(at), bytes(n));
  };
  const auto take = [&](int64_t at, int64_t n) {
    for (int k = 0; gets && k < size(); ++k) {
      const int r = (me + k) % size();
      const std::byte* from = r == me ? w.in + bytes(at) : peer(r, 1);
      copy_bytes(w.out + bytes(r * w.c.count + at), from, bytes(n), w.stream);
    }
  };
  chunks(w, w.c.count, chunk, show, take);
}

void ShmTransport::staged_broadcast(Work& w, int64_t chunk) {
  const auto bytes = [&](int64_t n) { return static_cast<size_t>(n) * w.element; };
  const bool root = w.c.root == rank();
  const auto show = [&](int64_t at, int64_t n) {
    if (root) copy_bytes(written(), w.in + bytes(at), bytes(n));
  };
  const auto take = [&](int64_t at, int64_t n) {
    copy_bytes(w.out + bytes(at), root ? w.in + bytes(at) : peer(w.c.root, 1), bytes(n), w.stream);
  };
  chunks(w, w.c.count, chunk, show, take);
}

/// scatter, all_to_all and all_to_all_v: a place in the buffer for each rank that gets something.
void ShmTransport::staged_exchange(Work& w) {
  const size_t place = options_.chunk_bytes / static_cast<size_t>(size()) / 64 * 64;
  const bool uneven = w.c.kind == Kind::all_to_all_v;
  const int me = rank();
  std::array<int64_t, kMostRanks> send{}, receive{}, send_at{}, receive_at{};
  int64_t most = w.c.count;
  if (uneven && !w.compared) step(w);
  const auto count_of = [&](int from, int to) {
    if (uneven) return group_.segment().counts(from, group_.steps() - 1)[to];
    return w.c.kind == Kind::scatter && from != w.c.root ? 0 : w.c.count;
  };
  for (int r = 0; r < size(); ++r) {
    const auto i = static_cast<size_t>(r);
    send[i] = count_of(me, r);
    receive[i] = count_of(r, me);
    if (r > 0) send_at[i] = send_at[i - 1] + send[i - 1];
    if (r > 0) receive_at[i] = receive_at[i - 1] + receive[i - 1];
    for (int to = 0; uneven && to < size(); ++to) most = std::max(most, count_of(r, to));
  }
  const auto part = [&](int64_t count, int64_t at, int64_t n) {
    return static_cast<size_t>(std::clamp<int64_t>(count - at, 0, n)) * w.element;
  };
  const auto show = [&](int64_t at, int64_t n) {
    for (size_t r = 0; r < static_cast<size_t>(size()); ++r)
      if (r != static_cast<size_t>(me))
        copy_bytes(written() + r * place, w.in + static_cast<size_t>(send_at[r] + at) * w.element,
                   part(send[r], at, n));
  };
  const auto take = [&](int64_t at, int64_t n) {
    for (int k = 0; k < size(); ++k) {
      const auto r = static_cast<size_t>((me + k) % size());
      const std::byte* from = k == 0
                                  ? w.in + static_cast<size_t>(send_at[r] + at) * w.element
                                  : peer(static_cast<int>(r), 1) + static_cast<size_t>(me) * place;
      copy_bytes(w.out + static_cast<size_t>(receive_at[r] + at) * w.element, from,
                 part(receive[r], at, n), w.stream);
    }
  };
  chunks(w, most, static_cast<int64_t>(place / w.element), show, take);
}

}  // namespace tutti::comm
