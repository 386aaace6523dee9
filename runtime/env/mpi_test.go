package env

import (
	"slices"
	"testing"
)

// --cleanenv leaves a rank its process manager, and nothing of the host's that only sounds alike.
func TestPassesClean(t *testing.T) {
	for name, want := range map[string]bool{
		"PMI_RANK": true, "PMI_FD": true, "PMIX_NAMESPACE": true, "OMPI_COMM_WORLD_RANK": true, "OMPI_MCA_btl": true,
		"HYDI_CONTROL_FD": true, "MPI_LOCALRANKID": true, "MPIR_CVAR_CH3_INTERFACE_HOSTNAME": true, "TERM": true,
		"MPI_HOME": false, "OMPI": false, "LD_PRELOAD": false, "SLURM_JOB_ID": true, "SLURMD_NODENAME": true, "SLURM": false, "XPMI_RANK": false,
	} {
		if got := passesClean(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// --no-mpi-env makes a serial program of one that was started as a rank, with --cleanenv and without.
func TestNoMPIEnv(t *testing.T) {
	host := []Var{{"PMI_RANK", "1", "host"}, {"SLURM_PROCID", "1", "host"}, {"EDITOR", "ed", "host"}}
	names := func(o Options) (list []string) {
		for _, v := range hostVars(host, o) {
			list = append(list, string(v.Name))
		}
		return list
	}
	for _, tt := range []struct {
		o    Options
		want []string
	}{
		{Options{}, []string{"PMI_RANK", "SLURM_PROCID", "EDITOR"}},
		{Options{NoMPIEnv: true}, []string{"EDITOR"}},
		{Options{CleanEnv: true}, []string{"LANG", "PMI_RANK", "SLURM_PROCID"}},
		{Options{CleanEnv: true, NoMPIEnv: true}, []string{"LANG"}},
	} {
		if got := names(tt.o); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.o, got, tt.want)
		}
	}
}
