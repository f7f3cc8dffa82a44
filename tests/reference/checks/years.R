# What lme4 says of sleepstudy when days are counted from further and further away.
# years.py runs this: Rscript years.R 0 10 100    (Debian 12: apt-get install r-cran-lme4 r-cran-jsonlite)
suppressPackageStartupMessages(library(lme4))
origins <- as.numeric(commandArgs(trailingOnly = TRUE))
sleep <- read.csv(file.path("..", "..", "..", "mixhier_lite", "datasets", "sleepstudy.csv"))

by_lme4 <- function(origin) {
  sleep$year <- sleep$Days + origin
  said <- character()
  model <- withCallingHandlers(
    lmer(Reaction ~ year + (year | Subject), sleep),
    warning = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleWarning") },
    message = function(m) { said <<- c(said, conditionMessage(m)); invokeRestart("muffleMessage") })
  list(criterion = REMLcrit(model), slope = unname(fixef(model)[2]),
       se = sqrt(as.matrix(vcov(model))[2, 2]), said = I(trimws(said)))
}
version <- paste("lme4", packageVersion("lme4"), "on", R.version.string)
cat(jsonlite::toJSON(list(version = version, fits = lapply(origins, by_lme4)),
                     digits = I(17), auto_unbox = TRUE))
