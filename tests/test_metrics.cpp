// Metrics against numbers worked out by hand.
#include <doctest/doctest.h>

#include <cmath>

#include "apps/metrics.h"
#include "engine/error.h"

using namespace etude;
using namespace etude::apps;
using doctest::Approx;

TEST_SUITE("metrics") {
  TEST_CASE("classification of six samples in three classes") {
    //              truth 0: 0 0 1    truth 1: 1 1    truth 2: 0
    const auto r = classify({0, 0, 0, 1, 1, 2}, {0, 0, 1, 1, 1, 0}, 3);
    CHECK(r.n == 6);
    CHECK(r.accuracy == Approx(4.0 / 6));
    CHECK(r.confusion == std::vector<std::vector<int>>{{2, 1, 0}, {0, 2, 0}, {1, 0, 0}});
    CHECK(r.classes[0].precision == Approx(2.0 / 3));
    CHECK(r.classes[0].recall == Approx(2.0 / 3));
    CHECK(r.classes[0].f1 == Approx(2.0 / 3));
    CHECK(r.classes[1].precision == Approx(2.0 / 3));
    CHECK(r.classes[1].recall == Approx(1.0));
    CHECK(r.classes[1].f1 == Approx(0.8));
    // Class 2 is never predicted: its precision is 0, not a division by zero.
    CHECK(r.classes[2].precision == 0);
    CHECK(r.classes[2].f1 == 0);
    CHECK(r.classes[2].support == 1);
    CHECK(r.macro_f1 == Approx((2.0 / 3 + 0.8 + 0) / 3));
  }

  TEST_CASE("macro-F1 leaves out classes that occur nowhere") {
    const auto r = classify({0, 1}, {0, 1}, 5);
    CHECK(r.macro_f1 == Approx(1.0));
  }

  TEST_CASE("Wilson interval") {
    // 8 of 10: centre (0.8 + z^2/20) / (1 + z^2/10), z = 1.96.
    const auto r = classify({0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 2);
    CHECK(r.accuracy_low == Approx(0.4902).epsilon(1e-3));
    CHECK(r.accuracy_high == Approx(0.9433).epsilon(1e-3));
    // It stays inside [0, 1] at the ends.
    const auto all = classify({0, 0}, {0, 0}, 2);
    CHECK(all.accuracy_high <= 1.0);
    CHECK(all.accuracy_low > 0.3);
    CHECK(all.accuracy_low < 0.4);
  }

  TEST_CASE("labels out of range and lists of different length are errors") {
    CHECK_THROWS_AS(classify({0, 3}, {0, 0}, 3), Error);
    CHECK_THROWS_AS(classify({0}, {0, 0}, 3), Error);
    CHECK_THROWS_AS(regress({0}, {0, 0}), Error);
  }

  TEST_CASE("majority") {
    CHECK(majority_class({2, 1, 2, 1, 0}, 3) == 1);  // of equals the smallest
    CHECK(majority_class({}, 3) == -1);
    CHECK(share({2, 1, 2, 2}, 2) == Approx(0.75));
    CHECK(share({}, 2) == 0);
  }

  TEST_CASE("regression by hand") {
    // truth 1 2 3 4, predicted 1.5 2 2.5 4: residuals .5 0 .5 0, SS_res 0.5, SS_tot 5.
    const auto r = regress({1, 2, 3, 4}, {1.5, 2, 2.5, 4});
    CHECK(r.r2 == Approx(1 - 0.5 / 5));
    CHECK(r.rmse == Approx(std::sqrt(0.125)));
    // Means 2.5 and 2.5; sum dx dy = 1.5 + .25 + 0 + 2.25 = 4; sum dy^2 = 1 + .25 + 0 + 2.25 = 3.5.
    CHECK(r.pearson == Approx(4 / std::sqrt(5 * 3.5)));
    CHECK(r.ccc == Approx(2 * 1.0 / (1.25 + 0.875)));
  }

  TEST_CASE("a constant shift costs CCC and R2, not Pearson's r") {
    const auto r = regress({1, 2, 3}, {2, 3, 4});
    CHECK(r.pearson == Approx(1.0));
    CHECK(r.ccc == Approx(2 * (2.0 / 3) / (2.0 / 3 + 2.0 / 3 + 1)));
    CHECK(r.r2 == Approx(1 - 3.0 / 2));
  }

  TEST_CASE("constant inputs give finite numbers") {
    const auto r = regress({2, 2, 2}, {1, 2, 3});
    CHECK(r.r2 == 0);
    CHECK(r.pearson == 0);
    CHECK(r.ccc == 0);
    const auto constant = regress({1, 2, 3}, {2, 2, 2});
    CHECK(constant.r2 == Approx(0.0));
    CHECK(constant.pearson == 0);
  }

  TEST_CASE("softmax and cross-entropy survive large logits") {
    const double logits[] = {1000, 1000, -1000};
    const auto p = softmax_row(logits, 3);
    CHECK(p[0] == Approx(0.5));
    CHECK(p[2] == 0);
    CHECK(cross_entropy_row(logits, 3, 0) == Approx(std::log(2.0)));
    CHECK(cross_entropy_row(logits, 3, 2) == Approx(2000 + std::log(2.0)));
    CHECK(argmax(logits, 3) == 0);
  }

  TEST_CASE("mean and spread") {
    const auto s = mean_spread({1, 2, 3, 4});
    CHECK(s.mean == Approx(2.5));
    CHECK(s.deviation == Approx(std::sqrt(5.0 / 3)));
    CHECK(mean_spread({7}).deviation == 0);
  }

  TEST_CASE("tables line up") {
    const auto r = classify({0, 0, 1}, {0, 1, 1}, 2);
    const std::vector<std::string> names = {"a class with a rather long name, too long", "b"};
    for (const std::string& text : {confusion_text(r, names), class_table_text(r, names)}) {
      const auto width = text.find('\n');
      std::size_t at = 0;
      while (at < text.size()) {
        const auto end = text.find('\n', at);
        CHECK(end - at == width);
        at = end + 1;
      }
    }
  }
}
