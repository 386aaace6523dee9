// Package env decides the environment and the command line of a payload.
//
// It works in two halves. Outside the container, [New] turns the caller's environment
// and flags into a [Spec]: plain data that travels inside the plan. Inside, right before
// execve(2), [Spec.Resolve] evaluates the image's own scripts, merges the three sources
// of variables and finds what there is to run.
//
// The order of precedence, highest first:
//
//  1. what the user sets for the container: --env, --env-file, CORACLEENV_X,
//     APPTAINERENV_X, SINGULARITYENV_X
//  2. what the image sets in /.singularity.d/env/*.sh
//  3. the rest of the caller's environment
//
// Image scripts are run by an interpreter inside this process (mvdan.cc/sh), so images
// without a shell work. They are not trusted: their errors become warnings, and
// runaway recursion is stopped.
//
// Source: Apptainer user guide, "Environment and Metadata", and the behaviour of
// Apptainer 1.x.
package env
