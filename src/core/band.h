// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace tutti {

/// Which keys a query sees: query i, at position p = i + offset, those from p - left to p + right.
/// -1 stands for all on that side; causal is right = 0.
struct Band {
  int64_t left = -1;
  int64_t right = -1;
  int64_t offset = 0;

  /// Keys begin to end - 1.
  struct Keys {
    int64_t begin, end;
  };

  bool is_all() const { return left < 0 && right < 0; }
  /// Whether a query sees a bounded number of keys, however many there are.
  bool is_narrow() const { return left >= 0 && right >= 0; }
  /// Query i sees keys i + first() to i + end() - 1.
  int64_t first() const { return left < 0 ? -kFar : near(offset) - near(left); }
  int64_t end() const { return right < 0 ? kFar : near(offset) + near(right) + 1; }
  /// Those of t keys that some of `count` > 0 queries from i on see.
  Keys keys(int64_t i, int64_t count, int64_t t) const {
    const int64_t begin = std::clamp<int64_t>(i + first(), 0, t);
    return {begin, std::clamp<int64_t>(i + count - 1 + end(), begin, t)};
  }
  /// The band with this first() and end() > first.
  static Band between(int64_t first, int64_t end) {
    if (first <= -kFar && end >= kFar) return {};
    if (first <= -kFar) return {-1, 0, end - 1};
    if (end >= kFar) return {0, -1, first};
    const int64_t offset = first <= 0 && end > 0 ? 0 : end - 1;
    return {offset - first, end - 1 - offset, offset};
  }
  /// What both let a query see; nothing when that is no key at all.
  std::optional<Band> both(const Band& other) const {
    const int64_t begin = std::max(first(), other.first()), stop = std::min(end(), other.end());
    return begin < stop ? std::optional(between(begin, stop)) : std::nullopt;
  }
  /// The same band for queries and keys counted from others.
  Band from(int64_t query, int64_t key) const {
    return is_all() ? Band{} : Band{left, right, offset + query - key};
  }
  /// The same for so many queries and keys, without bounds that hide none of them.
  Band simplest(int64_t queries, int64_t keys) const {
    Band band = *this;
    if (queries - 1 + first() <= 0) band.left = -1;
    if (end() >= keys) band.right = -1;
    return band.is_all() ? Band{} : band;
  }
  friend bool operator==(const Band&, const Band&) = default;

  static constexpr int64_t kFar = int64_t{1} << 60;  ///< -first() and end() without a bound

 private:
  // Numbers that cannot overflow.
  static int64_t near(int64_t x) { return std::clamp(x, -kFar / 4, kFar / 4); }
};

}  // namespace tutti
