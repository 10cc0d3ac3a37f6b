// One application, built in every way that applications are built. The first argument, or the
// variable SHAPE, says which; the rest of the arguments are the host's.

using Shapes;

var shape = args.Length > 0 && !args[0].StartsWith('-') ? args[0] : Environment.GetEnvironmentVariable("SHAPE") ?? "CreateBuilder";
var rest = args.Where((argument, index) => index > 0 || argument.StartsWith('-')).ToArray();

return shape switch
{
    "CreateBuilder" => Modern.CreateBuilder(rest),
    "CreateSlimBuilder" => Modern.CreateSlimBuilder(rest),
    "CreateEmptyBuilder" => Modern.CreateEmptyBuilder(rest),
    "IntegratedTwice" => Modern.IntegratedTwice(rest),
    "UseUrls" => Modern.UseUrls(rest),
    "ConfigureKestrel" => Modern.ConfigureKestrel(rest),
    "UrlsAdd" => Modern.UrlsAdd(rest),
    "RunWithUrl" => Modern.RunWithUrl(rest),
    "RunAsync" => await Modern.RunAsync(rest),
    "StartAsync" => await Modern.StartAsync(rest),
    "Start" => Modern.Start(rest),
    "DisposeAsync" => await Modern.DisposeAsync(rest),
    "Container" => Modern.Container(rest),
    "WorkerFirst" => await Modern.WorkerFirst(rest),
    "TwoHosts" => await Modern.TwoHosts(rest),
    "NeverStarted" => Modern.NeverStarted(rest),
    "NeverStartedServer" => Modern.NeverStartedServer(rest),
    "LongInit" => await Modern.LongInit(rest),
    "Lifetime" => Modern.Lifetime(rest),
    "OwnServer" => Modern.OwnServer(rest),
    "BackgroundThrows" => Modern.BackgroundThrows(rest),
    "BackgroundThrowsIgnored" => Modern.BackgroundThrowsIgnored(rest),
    "ExitCode" => Modern.ExitCode(rest),
    "ConfigureWebHostDefaults" => Generic.ConfigureWebHostDefaults(rest),
    "ConfigureWebHost" => Generic.ConfigureWebHost(rest),
    "UseStartup" => Generic.UseStartup(rest),
    "RunConsoleAsync" => await Generic.RunConsoleAsync(rest),
    "ApplicationBuilder" => Generic.ApplicationBuilder(rest),
    "WebHostDefault" => Legacy.CreateDefaultBuilder(rest),
    "WebHostStart" => Legacy.Start(rest),
    "WebHostBuilder" => Legacy.Bare(rest),
    "OutlivesMain" => Lives.OutlivesMain(rest),
    "Restarts" => Lives.Restarts(rest),
    "RestartsLegacy" => Lives.RestartsLegacy(rest),
    "RestartsForEver" => Lives.RestartsForEver(rest),
    "Together" => await Lives.Together(rest),
    "Ends" => Lives.Ends(rest),
    "ReadsInput" => Lives.ReadsInput(rest),
    "Forks" => Lives.Forks(rest),
    "Drops" => Lives.Drops(rest),
    "ThreadedMain" => Modern.OnAThread(rest),
    _ => throw new ArgumentException($"unknown shape {shape}"),
};
