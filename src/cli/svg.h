// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tutti::cli {

/// A line of a chart: a value, or none, at each place of the x axis.
struct Series {
  std::string name;
  std::vector<std::optional<double>> values;
  bool dashed = false;
};

/// Lines over places with names. The y axis starts at 0.
struct Chart {
  std::string title;
  std::string x_label, y_label;  ///< with the unit
  std::vector<std::string> places;
  std::vector<Series> series;
};

/// The chart as an SVG file, 720 x 400, with a legend and values at the last points.
std::string svg(const Chart& chart);

/// Something that takes a part of a lane.
struct Box {
  std::string kind;  ///< of one colour in all lanes
  double width = 0;
  std::string text;  ///< shown where the pointer rests
};

/// Rows of boxes, one after the other from the left.
struct Lanes {
  std::string title;
  std::vector<std::pair<std::string, std::vector<Box>>> lanes;  ///< with their names
};

/// The lanes as an SVG file, 900 wide, with a legend of kinds; the longest lane fills the width.
std::string svg(const Lanes& lanes);

}  // namespace tutti::cli
