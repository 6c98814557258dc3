// SPDX-License-Identifier: Apache-2.0
#include "shard/mesh.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"

namespace tutti::shard {
namespace {

constexpr int kMostAxes = 8, kMostRanks = 64;

}  // namespace

Mesh::Mesh(std::vector<Axis> axes) : axes_(std::move(axes)) {
  require_argument(axes_.size() <= kMostAxes, "mesh of ", axes_.size(), " axes; at most ",
                   kMostAxes, " are possible");
  for (size_t i = 0; i < axes_.size(); ++i) {
    require_argument(!axes_[i].name.empty(), "mesh: an axis has no name");
    require_argument(axes_[i].size >= 1 && axes_[i].size <= kMostRanks, "mesh: axis ",
                     axes_[i].name, " has ", axes_[i].size, " ranks; 1 to ", kMostRanks,
                     " are wanted");
    for (size_t j = 0; j < i; ++j)
      require_argument(axes_[j].name != axes_[i].name, "mesh: axis ", axes_[i].name,
                       " is there twice");
  }
  require_argument(size() <= kMostRanks, "mesh ", text(), " has ", size(), " ranks; at most ",
                   kMostRanks, " are possible");
}

Mesh Mesh::parse(std::string_view text) {
  std::vector<Axis> axes;
  for (size_t begin = 0, end = 0; end < text.size(); begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const size_t equals = part.find('=');
    int size = 0;
    const char* last = part.data() + part.size();
    const bool number =
        equals != std::string_view::npos &&
        std::from_chars(part.data() + equals + 1, last, size) == std::from_chars_result{last, {}};
    require_argument(number, "mesh ", text, part == text ? "" : join(": ", part),
                     "; NAME=RANKS is wanted, as in tp=2,cp=4");
    axes.push_back({std::string(part.substr(0, equals)), size});
  }
  return Mesh(std::move(axes));
}

int Mesh::size() const {
  int size = 1;
  for (const Axis& axis : axes_) size *= axis.size;
  return size;
}

bool Mesh::has(std::string_view name) const {
  return std::any_of(axes_.begin(), axes_.end(), [&](const Axis& a) { return a.name == name; });
}

AxisSet Mesh::axis(std::string_view name) const {
  for (size_t i = 0; i < axes_.size(); ++i)
    if (axes_[i].name == name) return AxisSet{1} << i;
  fail(Errc::invalid_argument, "mesh ", text(), " has no axis ", name);
}

int Mesh::size(AxisSet axes) const {
  int size = 1;
  for (size_t i = 0; i < axes_.size(); ++i)
    if (axes >> i & 1) size *= axes_[i].size;
  return size;
}

int Mesh::position(int rank, AxisSet axes) const {
  int position = 0, stride = 1;
  for (size_t i = axes_.size(); i-- > 0;) {
    const int coordinate = rank % axes_[i].size;
    rank /= axes_[i].size;
    if (!(axes >> i & 1)) continue;
    position += coordinate * stride;
    stride *= axes_[i].size;
  }
  return position;
}

std::vector<int> Mesh::group(int rank, AxisSet axes) const {
  const AxisSet others = ~axes;
  std::vector<int> ranks;
  for (int r = 0; r < size(); ++r)
    if (position(r, others) == position(rank, others)) ranks.push_back(r);
  return ranks;
}

std::vector<int64_t> Mesh::groups(AxisSet axes) const {
  std::vector<int64_t> ranks;
  for (int r = 0; r < size(); ++r)
    if (position(r, axes) == 0)
      for (const int member : group(r, axes)) ranks.push_back(member);
  return ranks;
}

std::string Mesh::text() const {
  std::string text;
  for (const Axis& axis : axes_) text += join(text.empty() ? "" : ",", axis.name, "=", axis.size);
  return text;
}

std::string Mesh::text(AxisSet axes) const {
  std::string text;
  for (size_t i = 0; i < axes_.size(); ++i)
    if (axes >> i & 1) text += join(text.empty() ? "" : ",", axes_[i].name);
  return text;
}

}  // namespace tutti::shard
