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

}  // namespace tutti::cli
