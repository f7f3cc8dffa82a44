# What lme4 says about the cases of the chapter "rosetta".
# Run in this folder: Rscript lme4.R    (Debian 12: apt-get install r-cran-lme4 r-cran-jsonlite)
# It writes mixhier_lite/datasets/lme4.json: numbers with 15 significant digits, the versions and the date.
suppressPackageStartupMessages(library(lme4))

from_book <- function(name) read.csv(file.path("..", "..", "..", "mixhier_lite", "datasets", name))
data(Dyestuff, sleepstudy, package = "lme4")
stopifnot(from_book("Dyestuff.csv")$Yield == Dyestuff$Yield,
          from_book("sleepstudy.csv")$Reaction == sleepstudy$Reaction)
four_groups <- read.csv("four_groups.csv", colClasses = c(group = "factor"))
few_rows <- read.csv("few_rows.csv", colClasses = c(group = "factor"))

# --- shown in the book: from here
by_lme4 <- function(REML) lapply(list(
  Dyestuff = lmer(Yield ~ 1 + (1 | Batch), Dyestuff, REML = REML),
  sleepstudy = lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = REML),
  four_groups = lmer(y ~ x + (1 | group), four_groups, REML = REML)), read_off)

read_off <- function(m) list(
  criterion = if (isREML(m)) REMLcrit(m) else -2 * as.numeric(logLik(m)),
  alpha = fixef(m), se = sqrt(diag(as.matrix(vcov(m)))), theta = getME(m, "theta"),
  sd = attr(VarCorr(m)[[1]], "stddev"), correlation = attr(VarCorr(m)[[1]], "correlation"),
  tau = sigma(m), beta = as.matrix(ranef(m)[[1]]), levels = rownames(ranef(m)[[1]]),
  condVar = attr(ranef(m)[[1]], "postVar"))
# --- to here

# Criteria with two minima. Where lme4 starts, where it ends from there, and from elsewhere.
random_intercept <- function(data, REML, ...) suppressMessages(suppressWarnings(
  lmer(y ~ x + (1 | group), data, REML = REML, ...)))
by_start <- function(data, REML) {
  at_start <- random_intercept(data, REML, control = lmerControl(optimizer = NULL))
  list(start = unname(getME(at_start, "theta")),
       default = read_off(random_intercept(data, REML)),
       from_1 = read_off(random_intercept(data, REML, start = 1)),
       from_10 = read_off(random_intercept(data, REML, start = 10)))
}

# Two bars and a factor: lme4 splits terms, not the columns of a factor.
sleepstudy$half <- factor(ifelse(sleepstudy$Days < 5, "a", "b"))
bars <- lmer(Reaction ~ Days + (half || Subject), sleepstudy)

plain <- function(x) {
  if (is.list(x)) return(lapply(x, plain))
  x <- if (length(dim(x)) == 3) aperm(x, c(3, 1, 2)) else x
  if (is.numeric(x) && is.null(dim(x)) && length(x) == 1 && is.null(names(x))) return(x)
  if (is.null(dim(x)) && is.null(names(x))) x else I(unname(x))
}
out <- list(
  about = list(program = "lme4", version = as.character(packageVersion("lme4")),
               language = R.version.string, date = as.character(Sys.Date()), script = "lme4.R"),
  fits = list(REML = by_lme4(TRUE), ML = suppressMessages(suppressWarnings(by_lme4(FALSE)))),
  two_minima = list(four_groups_ML = by_start(four_groups, FALSE),
                    few_rows_REML = by_start(few_rows, TRUE)),
  two_bars = list(criterion = REMLcrit(bars), parameters = length(getME(bars, "theta")),
                  split = as.character(formula(bars))[3]))
text <- jsonlite::toJSON(plain(out), digits = I(17), auto_unbox = TRUE, matrix = "rowmajor")
writeLines(gsub('("(REML|ML|Dyestuff|sleepstudy|four_groups|two_minima|two_bars)")', "\n\\1", text),
           "../../../mixhier_lite/datasets/lme4.json")
