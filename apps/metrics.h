// Metrics of classification and regression, on the host, in double.
//
// Definitions follow scikit-learn where it has the metric; the concordance correlation coefficient
// is Lin's (Biometrics 45, 1989).
#pragma once

#include <string>
#include <vector>

namespace etude::apps {

// One class of a classification. A ratio with an empty denominator is 0.
struct ClassMetrics {
  double precision = 0, recall = 0, f1 = 0;
  int support = 0;    // samples of this class
  int predicted = 0;  // samples that were called this class
};

struct Classification {
  int n = 0;
  double accuracy = 0;
  double accuracy_low = 0, accuracy_high = 0;  // 95 % Wilson interval
  double macro_f1 = 0;  // mean F1 over the classes that occur in the truth or in the predictions
  std::vector<ClassMetrics> classes;
  std::vector<std::vector<int>> confusion;  // [truth][predicted]
};

// Error when the two lists differ in length or a label is outside [0, classes).
Classification classify(const std::vector<int>& truth, const std::vector<int>& predicted,
                        int classes);

// The most frequent label (the smallest of equals); -1 for an empty list.
int majority_class(const std::vector<int>& labels, int classes);
// The share of `truth` that equals `label`; 0 for an empty list.
double share(const std::vector<int>& truth, int label);

struct Regression {
  int n = 0;
  double r2 = 0;       // 1 - SS_res / SS_tot; 0 where the truth is constant
  double rmse = 0;     // in the units of the input
  double pearson = 0;  // 0 where either side is constant
  double ccc = 0;      // 2 cov / (var_x + var_y + (mean_x - mean_y)^2)
};

Regression regress(const std::vector<double>& truth, const std::vector<double>& predicted);

// Softmax of one row of logits, and its cross-entropy with a label; both stable for large logits.
std::vector<double> softmax_row(const double* logits, int classes);
double cross_entropy_row(const double* logits, int classes, int label);
// The index of the largest value (the first of equals).
int argmax(const double* values, int n);

// Mean and sample deviation (n - 1); the deviation of fewer than two values is 0.
struct MeanSpread {
  double mean = 0, deviation = 0;
};
MeanSpread mean_spread(const std::vector<double>& values);

// The confusion matrix as aligned text: one row a true class, with recall; one column a predicted
// class. The table of precision, recall and F1 likewise.
std::string confusion_text(const Classification& result, const std::vector<std::string>& names);
std::string class_table_text(const Classification& result, const std::vector<std::string>& names);

}  // namespace etude::apps
