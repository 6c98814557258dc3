// SPDX-License-Identifier: Apache-2.0
#include "cli/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace tutti::cli {
namespace {

constexpr double kWidth = 720, kHeight = 400;
constexpr double kLeft = 80, kRight = 530, kTop = 50, kBottom = 340;
// Apart for people who see colours differently (Okabe and Ito), then dark ones.
constexpr std::array<const char*, 10> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                  "#e69f00", "#56b4e9", "#000000", "#7f3c8d",
                                                  "#80803f", "#8c1c13"};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

template <class... T>
std::string print(const char* format, T... values) {
  char text[512];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string number(double value) { return print("%.4g", value); }

std::string label(double x, double y, const char* anchor, int size, const std::string& text,
                  const char* more = "") {
  return print("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\"%s>", x, y, anchor,
               size, more) +
         escaped(text) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const char* colour) {
  return print("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1,
               x2, y2, colour);
}

std::string head(double width, double height) {
  return print(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
      "height=\"%.0f\" font-family=\"sans-serif\" fill=\"#222\">\n<rect width=\"100%%\" "
      "height=\"100%%\" fill=\"#fff\"/>\n",
      width, height, width, height);
}

// 1, 2 or 5 times a power of ten, so that there are four to eight steps.
double step_of(double largest) {
  const double power = std::pow(10, std::floor(std::log10(largest / 4)));
  for (const double factor : {5.0, 2.0})
    if (largest / (factor * power) >= 4) return factor * power;
  return power;
}

class Drawing {
 public:
  explicit Drawing(const Chart& chart) : chart_(chart) {
    double largest = 0;
    for (const Series& series : chart.series)
      for (const auto& value : series.values) largest = std::max(largest, value.value_or(0));
    step_ = step_of(largest > 0 ? largest : 1);
    top_ = step_ * std::max(std::ceil(largest / step_ - 1e-9), 1.0);
  }

  std::string run() {
    out_ = head(kWidth, kHeight);
    out_ += label((kLeft + kRight) / 2, 28, "middle", 16, chart_.title);
    axes();
    for (size_t s = 0; s < chart_.series.size(); ++s) series(s);
    return out_ + "</svg>\n";
  }

 private:
  double x(size_t place) const {
    const auto count = static_cast<double>(chart_.places.size());
    return kLeft + (kRight - kLeft) * (static_cast<double>(place) + 0.5) / count;
  }
  double y(double value) const { return kBottom - (kBottom - kTop) * value / top_; }

  void axes() {
    for (double value = 0; value <= top_ * 1.0001; value += step_) {
      out_ += line(kLeft, y(value), kRight, y(value), value == 0 ? "#222" : "#ddd");
      out_ += label(kLeft - 8, y(value) + 4, "end", 12, number(value));
    }
    for (size_t i = 0; i < chart_.places.size(); ++i)
      out_ += label(x(i), kBottom + 20, "middle", 12, chart_.places[i]);
    out_ += label((kLeft + kRight) / 2, kBottom + 44, "middle", 13, chart_.x_label);
    const double middle = (kTop + kBottom) / 2;
    out_ += label(22, middle, "middle", 13, chart_.y_label,
                  print(" transform=\"rotate(-90 22 %.1f)\"", middle).c_str());
  }

  void series(size_t s) {
    const Series& own = chart_.series[s];
    const char* colour = own.dashed ? "#999" : kColours[s % kColours.size()];
    std::string points;
    for (size_t i = 0; i < own.values.size(); ++i) {
      if (!own.values[i]) continue;
      points += print("%.1f,%.1f ", x(i), y(*own.values[i]));
      if (own.dashed) continue;
      out_ += print("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"><title>", x(i),
                    y(*own.values[i]), colour) +
              escaped(own.name + ", " + chart_.places[i] + ": " + number(*own.values[i])) +
              "</title></circle>\n";
    }
    const char* dash = own.dashed ? " stroke-dasharray=\"6 4\"" : "";
    out_ += "<polyline fill=\"none\" stroke-width=\"2\" points=\"" + points +
            print("\" stroke=\"%s\"%s/>\n", colour, dash);
    const double row = kTop + 8 + 20 * static_cast<double>(s);
    out_ += print(
        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
        "stroke-width=\"3\"%s/>\n",
        kRight + 20, row, kRight + 44, row, colour, dash);
    out_ += label(kRight + 52, row + 4, "start", 12, own.name);
  }

  const Chart& chart_;
  double step_ = 1, top_ = 1;
  std::string out_;
};

std::string rectangle(double x, double y, double width, double height, const char* colour,
                      const std::string& text) {
  return print("<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"%s\"><title>", x,
               y, width, height, colour) +
         escaped(text) + "</title></rect>\n";
}

}  // namespace

std::string svg(const Chart& chart) { return Drawing(chart).run(); }

std::string svg(const Lanes& lanes) {
  constexpr double kAll = 900, kStart = 70, kEnd = 880, kRow = 26;
  std::vector<std::string> kinds;
  double longest = 0;
  for (const auto& [name, boxes] : lanes.lanes) {
    double width = 0;
    for (const Box& box : boxes) {
      width += box.width;
      if (std::find(kinds.begin(), kinds.end(), box.kind) == kinds.end()) kinds.push_back(box.kind);
    }
    longest = std::max(longest, width);
  }
  const double height = 90 + kRow * static_cast<double>(lanes.lanes.size());
  std::string out = head(kAll, height) + label(kAll / 2, 26, "middle", 15, lanes.title);
  const auto colour = [&](const std::string& kind) {
    const auto at = std::find(kinds.begin(), kinds.end(), kind) - kinds.begin();
    return kColours[static_cast<size_t>(at) % kColours.size()];
  };
  double y = 44;
  for (const auto& [name, boxes] : lanes.lanes) {
    out += label(kStart - 10, y + 15, "end", 12, name);
    double x = kStart;
    for (const Box& box : boxes) {
      const double width = (kEnd - kStart) * box.width / longest;
      out += rectangle(x, y, width, kRow - 6, colour(box.kind), box.text);
      x += width;
    }
    y += kRow;
  }
  double x = kStart;
  for (const std::string& kind : kinds) {
    out +=
        rectangle(x, y + 12, 14, 14, colour(kind), kind) + label(x + 20, y + 24, "start", 12, kind);
    x += 40 + 7.5 * static_cast<double>(kind.size());
  }
  return out + "</svg>\n";
}

}  // namespace tutti::cli
