// An ordinary ASP.NET Core application that uses a bit of everything that the framework has, one
// file per area. It refers to nothing of ancm; the tests compare how it behaves on different servers.

using Kitchen;

using Microsoft.AspNetCore.DataProtection;

var builder = WebApplication.CreateBuilder(args);
var services = builder.Services;
services.AddControllers();
services.AddProblemDetails();
services.AddHttpContextAccessor();
services.AddDataProtection().UseEphemeralDataProtectionProvider();
services.AddSecurity();
services.AddDelivery();
services.AddHosted();

var app = builder.Build();
app.UseErrorBranches();
app.UseDeliveryBranches();
app.UseSecurityBranches();
app.UseStaticFiles();
app.UseRouting();
app.UseCors();
app.UseRequestTimeouts();
app.UseAuthentication();
app.UseAuthorization();
app.UseSession();
app.UseRateLimiter();
app.UseOutputCache();

app.MapControllers();
app.MapDelivery();
app.MapSecurity();
app.MapBodies();
app.MapResponses();
app.MapContexts();
app.MapHosted();
app.Run();
